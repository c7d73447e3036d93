//! Who says what next: conversations side by side, with losses, and with frames that were bent on the way.

use super::dice::Dice;
use super::scripts::Shot;
use super::world::World;
use std::collections::VecDeque;

const SCRIPTS: usize = 150;
/// How many scripts are remembered as good ones.
const GOOD: usize = 40;

/// The conversations of a world.
pub struct Stage {
    scripts: Vec<Vec<Shot>>,
    /// Scripts of which a packet was forwarded.
    good: Vec<usize>,
    /// What is being said: the script, and the rest of it.
    talks: [(usize, VecDeque<Shot>); 4],
}

impl Stage {
    pub fn new(world: &mut World) -> Self {
        let scripts = (0..SCRIPTS).map(|_| world.script()).collect();
        Self { scripts, good: Vec::new(), talks: Default::default() }
    }

    /// The next frame, and the number of its script.
    pub fn next(&mut self, world: &mut World) -> (usize, Shot) {
        let Self { scripts, good, talks } = self;
        loop {
            let dice = &mut world.dice;
            let (script, talk) = &mut talks[dice.below(4)];
            if dice.one_in(12) {
                talk.pop_front();
            }
            if talk.is_empty() || dice.one_in(60) {
                *script = if good.is_empty() || dice.one_in(3) { dice.below(scripts.len()) } else { dice.pick(good) };
                *talk = VecDeque::from(scripts[*script].clone());
            }
            let Some(mut shot) = talk.pop_front() else { continue };
            if dice.one_in(4) {
                world.bend(&mut shot);
            }
            return (*script, shot);
        }
    }

    /// Notes that a packet of the script was forwarded, so that it is said more often.
    pub fn praise(&mut self, script: usize, dice: &mut Dice) {
        if self.good.len() < GOOD {
            self.good.push(script);
        } else if dice.one_in(4) {
            self.good[dice.below(GOOD)] = script;
        }
    }
}
