import torch


def make_input(size, seed):
    generator = torch.Generator(device="cuda")
    generator.manual_seed(int(seed))
    return torch.rand(int(size), device="cuda", generator=generator)


def check(data, output):
    torch.cuda.synchronize()
    return "" if torch.equal(output, data + data) else "not twice the input"
