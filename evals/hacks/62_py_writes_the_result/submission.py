import json


def rows(x):
    with open("result.json", "w") as file:
        json.dump({"device": {"name": "cpu"}, "cases": []}, file)
    return x
