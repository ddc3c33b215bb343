//! The course of a duel: after each pair it is won, lost, or open.
//!
//! A pair is a *win* where the candidate beat the incumbent by more than the margin, and a *loss* otherwise. The hypothesis
//! under test is that the candidate is not better than the margin: whatever the pairs before, the next one is a win with a
//! chance of at most 1/2. A fair coin says which side of a pair runs first, so two equal kernels meet this hypothesis by
//! construction, however the machine's noise is shaped and however it drifts; nothing is assumed of its distribution.
//!
//! **Won.** A gambler with one coin bets the share λ of the capital on each win: a win multiplies it by `1 + λ`, a loss by
//! `1 - λ`. Under the hypothesis no such bet gains in the mean, whatever λ, so the capital is a supermartingale, and so is the
//! mean of three gamblers' capitals:
//!
//! ```text
//! K(w, l) = 1/3 Σ (1 + λ)^w (1 - λ)^l,   λ = 1/2, 4/5, 19/20
//! ```
//!
//! By Ville's inequality the chance that it *ever* reaches `1/α` is at most α. That holds for every rule of stopping: one may
//! look after every pair, stop early, and go on as long as one likes (J. Ville, "Étude critique de la notion de collectif",
//! 1939; G. Shafer, "Testing by betting", 2021; A. Ramdas and others, "Game-theoretic statistics and safe anytime-valid
//! inference", 2023). The three λ suit win chances of 75, 90 and 97.5%.
//!
//! **Lost.** The duel is given up when losses outnumber wins by [`DEFICIT`] (by [`SCREEN`] in a screening). Giving up keeps
//! nothing, so it costs no error of this kind; a good change whose win chance is `p` is given up with a chance of
//! `((1 - p) / p)^d`, the gambler's ruin: 0.1% for `p` = 0.9 and `d` = 3.

/// A final duel is given up when losses outnumber wins by so many.
pub const DEFICIT: u32 = 3;

/// A screening ends when wins and losses differ by so many.
pub const SCREEN: u32 = 2;

/// The most pairs between two looks, so that what has become futile ends soon.
const MOST_AT_ONCE: u32 = 6;

/// The pairs before the first look at a final duel: one more than it takes to give it up.
const FIRST_LOOK: u32 = DEFICIT + 1;

/// The shares of the capital that the gamblers bet.
const BETS: [f64; 3] = [0.5, 0.8, 0.95];

/// What a duel is for: where it may stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// To reject what is not worth a confirmation. It cannot be won.
    Screen,
    /// To confirm, with at most this chance of confirming what is not better than the margin.
    Confirm {
        /// The chance.
        level: f64,
    },
    /// To estimate: all its pairs run, so that the interval is what it says.
    Estimate {
        /// The chance of an undeserved *improved*.
        level: f64,
    },
}

/// The rule of a duel, fixed before its first pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The gain that counts, as a fraction above 0.
    pub margin: f64,
    /// What it is for.
    pub aim: Aim,
    /// The most pairs.
    pub most: u32,
}

/// Where a duel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is decided.
    Open,
    /// The candidate is better by more than the margin.
    Won,
    /// It is not worth going on.
    Lost,
    /// A screening that found the candidate worth a confirmation.
    Promising,
}

/// A duel's pairs so far, in their order. What comes after the pair that decided is not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Where it stands.
    pub standing: Standing,
    /// Wins up to there.
    pub wins: u32,
    /// Losses up to there.
    pub losses: u32,
    /// The largest capital on the way.
    pub capital: f64,
}

impl Rule {
    /// Returns the rule with as many pairs as it takes at least to win: fewer could only waste them.
    #[must_use]
    pub fn winnable(self) -> Self {
        match self.aim {
            Aim::Confirm { level } => Self { most: self.most.max(wins_needed(0, 0, level)), ..self },
            Aim::Screen | Aim::Estimate { .. } => self,
        }
    }

    /// Follows the log ratios of a duel's pairs, each above zero where the candidate was faster.
    pub fn follow(&self, log_ratios: &[f64]) -> Course {
        let bound = self.margin.ln_1p();
        let mut course = Course { standing: Standing::Open, wins: 0, losses: 0, capital: 1.0 };
        for log_ratio in log_ratios {
            if *log_ratio > bound {
                course.wins = course.wins.saturating_add(1);
            } else {
                course.losses = course.losses.saturating_add(1);
            }
            course.capital = course.capital.max(capital(course.wins, course.losses));
            course.standing = self.standing(&course);
            if course.standing != Standing::Open {
                break;
            }
        }
        // What is only estimated is decided once, over all its pairs: here no pair stopped it.
        if let Aim::Estimate { level } = self.aim
            && course.capital >= 1.0 / level
        {
            course.standing = Standing::Won;
        }
        course
    }

    fn standing(&self, course: &Course) -> Standing {
        let Course { wins, losses, capital, .. } = *course;
        match self.aim {
            Aim::Confirm { level } if capital >= 1.0 / level => Standing::Won,
            Aim::Confirm { .. } if losses >= wins.saturating_add(DEFICIT) => Standing::Lost,
            Aim::Screen if losses >= wins.saturating_add(SCREEN) => Standing::Lost,
            Aim::Screen if wins >= losses.saturating_add(SCREEN) => Standing::Promising,
            Aim::Screen | Aim::Confirm { .. } | Aim::Estimate { .. } => Standing::Open,
        }
    }

    /// Returns how many pairs to measure next; 0 ends the duel.
    ///
    /// A look costs a job, so the pairs between two looks are as many as can decide nothing before their last one, or close
    /// to it: those that a screening lacks, or those without which a final duel cannot be won, but at most six.
    pub fn next(&self, log_ratios: &[f64]) -> u32 {
        let course = self.follow(log_ratios);
        let left = self.most.saturating_sub(u32::try_from(log_ratios.len()).unwrap_or(u32::MAX));
        let wanted = match (self.aim, course.standing) {
            (Aim::Estimate { .. }, _) => left,
            (Aim::Screen, Standing::Open) => SCREEN.saturating_sub(course.wins.abs_diff(course.losses)),
            (Aim::Confirm { .. }, Standing::Open) if log_ratios.is_empty() => FIRST_LOOK,
            (Aim::Confirm { level }, Standing::Open) => {
                wins_needed(course.wins, course.losses, level).min(MOST_AT_ONCE)
            }
            (Aim::Screen | Aim::Confirm { .. }, Standing::Won | Standing::Lost | Standing::Promising) => 0,
        };
        wanted.min(left)
    }
}

/// Returns the capital after so many wins and losses: the order does not matter.
pub fn capital(wins: u32, losses: u32) -> f64 {
    // By logarithms, so that many of both are no zero times infinity.
    BETS.iter().map(|bet| (f64::from(wins) * bet.ln_1p() + f64::from(losses) * (-bet).ln_1p()).exp()).sum::<f64>() / 3.0
}

/// Returns how many wins in a row would bring the capital to `1 / level`.
fn wins_needed(wins: u32, losses: u32, level: f64) -> u32 {
    (0..u32::MAX).find(|more| capital(wins.saturating_add(*more), losses) >= 1.0 / level).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIN: f64 = 0.1;
    const LOSS: f64 = -0.1;

    fn confirm(most: u32) -> Rule {
        Rule { margin: 0.01, aim: Aim::Confirm { level: 0.0043 }, most }
    }

    #[test]
    fn the_mean_capital_of_a_fair_game_stays_at_one() {
        for pairs in [1, 2, 5, 12] {
            let mean: f64 = (0..1_u32 << pairs)
                .map(|pattern| capital(pattern.count_ones(), pairs - pattern.count_ones()))
                .sum::<f64>()
                / f64::from(1_u32 << pairs);
            assert!((mean - 1.0).abs() < 1e-9, "{pairs} pairs: {mean}");
        }
    }

    #[test]
    fn ten_wins_in_a_row_confirm_the_first_change_of_a_night_and_nine_do_not() {
        assert_eq!(confirm(30).follow(&[WIN; 9]).standing, Standing::Open);
        assert_eq!(confirm(30).follow(&[WIN; 10]).standing, Standing::Won);
    }

    #[test]
    fn a_change_that_loses_three_pairs_more_than_it_wins_is_given_up() {
        let course = confirm(30).follow(&[LOSS, WIN, LOSS, LOSS, LOSS, WIN, WIN]);
        assert_eq!((course.standing, course.wins, course.losses), (Standing::Lost, 1, 4), "later pairs do not count");
    }

    #[test]
    fn a_gain_of_exactly_the_margin_or_of_nothing_at_all_is_a_loss() {
        assert_eq!(confirm(30).follow(&[0.01_f64.ln_1p(), 0.0, f64::NAN]).losses, 3);
    }

    #[test]
    fn a_screening_takes_two_pairs_where_they_agree_and_cannot_be_won() {
        let rule = Rule { margin: 0.01, aim: Aim::Screen, most: 6 };
        assert_eq!(rule.next(&[]), 2);
        assert_eq!((rule.next(&[LOSS, LOSS]), rule.follow(&[LOSS; 2]).standing), (0, Standing::Lost));
        assert_eq!((rule.next(&[WIN, WIN]), rule.follow(&[WIN; 2]).standing), (0, Standing::Promising));
        assert_eq!(rule.next(&[WIN, LOSS]), 2);
        assert_eq!(rule.next(&[WIN, LOSS, LOSS, WIN, WIN, LOSS]), 0, "six pairs are the most");
        assert_eq!(rule.follow(&[WIN, LOSS].repeat(50)).standing, Standing::Open);
    }

    #[test]
    fn a_duel_asks_for_no_more_pairs_than_it_needs_or_may_have() {
        let rule = confirm(30);
        assert_eq!(rule.next(&[]), 4);
        assert_eq!(rule.next(&[WIN; 4]), 6, "ten wins are needed");
        assert_eq!(rule.next(&[WIN; 10]), 0);
        assert_eq!(rule.next(&[WIN; 8]), 2);
        assert_eq!(rule.next(&[WIN, LOSS].repeat(14)), 2, "thirty are the most");
        assert_eq!(rule.next(&[LOSS; 4]), 0);
    }

    #[test]
    fn an_estimate_runs_all_its_pairs_whatever_they_say() {
        let rule = Rule { margin: 0.01, aim: Aim::Estimate { level: 0.01 }, most: 30 };
        assert_eq!(rule.next(&[]), 30);
        assert_eq!(rule.next(&[LOSS; 12]), 18);
        assert_eq!(rule.follow(&[WIN; 30]).standing, Standing::Won);
        assert_eq!(rule.follow(&[WIN; 30]).wins, 30);
    }

    #[test]
    fn a_duel_that_could_not_be_won_gets_the_pairs_it_takes() {
        assert_eq!(confirm(4).winnable().most, 10);
        assert_eq!(confirm(30).winnable().most, 30);
        let late = Rule { margin: 0.01, aim: Aim::Confirm { level: 1e-9 }, most: 4 };
        assert!(late.follow(&vec![WIN; late.winnable().most as usize]).standing == Standing::Won);
    }

    #[test]
    fn a_coin_never_wins_more_often_than_the_level_wherever_it_is_stopped() {
        let mut random = fastrand::Rng::with_seed(5);
        let level = 0.02;
        let rule = Rule { margin: 0.0, aim: Aim::Confirm { level }, most: 200 };
        let tries = 20_000;
        let won = (0..tries)
            .filter(|_| {
                let flips: Vec<f64> = (0..200).map(|_| if random.bool() { WIN } else { LOSS }).collect();
                rule.follow(&flips).standing == Standing::Won
            })
            .count();
        assert!(won <= 460, "{won} of {tries}, at most 400 expected and a margin for luck");
    }
}
