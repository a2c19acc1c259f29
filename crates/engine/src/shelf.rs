//! Several models in one budget: loaded when they are asked for, and small or gone when another needs the room.
//!
//! What it is: who has how much of the budget. What it is not: a cache of conversations; whoever asks says all that a model
//! should remember. The one design choice is the policy: the model that is asked for gets all that it can use, and the
//! others give way, those of the lowest priority first, of these the one that was not asked for the longest. They are made
//! as small as they can run, which keeps their conversation; one is dropped only if the model that is asked for could
//! not run at all otherwise, and none makes room for one of a lower priority.

use crate::{Engine, Error, LoadOptions, Model, Opened};
use std::path::{Path, PathBuf};

/// Models that share the budget of one engine.
pub struct Shelf<'a> {
    engine: &'a Engine,
    places: Vec<Place>,
    /// How often a model was asked for.
    asked: u64,
}

/// A model that may be loaded.
struct Place {
    name: String,
    path: PathBuf,
    options: LoadOptions,
    priority: i32,
    /// When it was asked for last.
    asked: u64,
    model: Option<Model>,
}

/// What a model of a shelf holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name on the shelf.
    pub name: String,
    /// Its priority; the higher gives way later.
    pub priority: i32,
    /// Bytes that it may hold at most now; 0 if it is not loaded.
    pub bytes: u64,
}

impl<'a> Shelf<'a> {
    /// An empty shelf in the budget of `engine`, in which nothing else should be loaded.
    pub fn new(engine: &'a Engine) -> Shelf<'a> {
        Shelf { engine, places: Vec::new(), asked: 0 }
    }

    /// Puts a model on the shelf, or replaces the one of that name; nothing is read yet.
    pub fn add(&mut self, name: &str, path: &Path, options: LoadOptions, priority: i32) {
        self.places.retain(|place| place.name != name);
        let (name, path) = (name.to_string(), path.to_path_buf());
        self.places.push(Place { name, path, options, priority, asked: 0, model: None });
    }

    /// The model of that name, loaded and with as much of the budget as the others of its priority and below can give.
    ///
    /// # Errors
    /// [`Error::NoSuchModel`]; [`Error::Refused`] if it cannot run beside those that do not give way to it, which all
    /// stay as they are; otherwise what is wrong with the file or the disk.
    pub fn get(&mut self, name: &str) -> Result<&mut Model, Error> {
        let at = self.places.iter().position(|place| place.name == name);
        let at = at.ok_or_else(|| Error::NoSuchModel { name: name.to_string() })?;
        self.asked += 1;
        self.places[at].asked = self.asked;
        let Wishes { least, most, opened } = self.wishes(at)?;
        self.make_room(at, least, most)?;
        let room = self.engine.budget.bytes - self.held_by_others(at);
        let place = &mut self.places[at];
        match opened {
            Some(opened) => place.model = Some(self.engine.load_within(opened, &place.options, room)?),
            None if place.bytes() < most.min(room) => place.fit(room)?,
            None => {}
        }
        place.model.as_mut().ok_or_else(|| Error::NoSuchModel { name: name.to_string() })
    }

    /// Drops a model's memory; it is loaded again when it is asked for.
    pub fn unload(&mut self, name: &str) {
        self.places.iter_mut().filter(|place| place.name == name).for_each(|place| place.model = None);
    }

    /// What every model holds, in the order in which they came.
    pub fn held(&self) -> Vec<Held> {
        let of =
            |place: &Place| Held { name: place.name.clone(), priority: place.priority, bytes: place.bytes() };
        self.places.iter().map(of).collect()
    }

    /// What a model needs, and its header if it is not loaded.
    fn wishes(&self, at: usize) -> Result<Wishes, Error> {
        let Place { path, options, model, .. } = &self.places[at];
        let budget = self.engine.budget.bytes;
        if let Some(model) = model {
            return Ok(Wishes { least: model.least()?, most: model.most(budget)?, opened: None });
        }
        let opened = self.engine.open(path)?;
        let most = match self.engine.plan_in(&opened, options, budget)? {
            Ok(placement) => placement,
            Err(refused) => return Err(Error::Refused(Box::new(refused))),
        };
        // What is loaded small may not have the context that a large budget would give.
        let options = LoadOptions { context: Some(most.context), ..*options };
        let least = match self.engine.plan_in(&opened, &options, 0)? {
            Ok(placement) => placement.peak(),
            Err(refused) => refused.needed,
        };
        Ok(Wishes { least, most: most.peak(), opened: Some(opened) })
    }

    fn held_by_others(&self, at: usize) -> u64 {
        let others = self.places.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, place)| place.bytes()).sum()
    }

    /// Makes others give way until there is room for `most`, or at least for `least`.
    fn make_room(&mut self, at: usize, least: u64, most: u64) -> Result<(), Error> {
        let budget = self.engine.budget.bytes;
        let priority = self.places[at].priority;
        let mut others: Vec<usize> = (0..self.places.len())
            .filter(|&other| other != at && self.places[other].model.is_some())
            .filter(|&other| self.places[other].priority <= priority)
            .collect();
        others.sort_unstable_by_key(|&other| (self.places[other].priority, self.places[other].asked));
        let keep: u64 =
            self.held_by_others(at) - others.iter().map(|&other| self.places[other].bytes()).sum::<u64>();
        if least + keep > budget {
            return Err(Error::NoRoomBeside { needed: least, held: keep, budget });
        }
        for &other in &others {
            if self.held_by_others(at) + most <= budget {
                return Ok(());
            }
            let short = (self.held_by_others(at) + most).saturating_sub(budget);
            let Some(model) = &self.places[other].model else { continue };
            let (peak, smallest) = (model.placement().peak(), model.least()?);
            if smallest < peak {
                // One that could not be made smaller is gone, which makes room, too.
                let _ = self.places[other].fit(smallest.max(peak.saturating_sub(short)));
            }
        }
        for &other in &others {
            if self.held_by_others(at) + least <= budget {
                return Ok(());
            }
            self.places[other].model = None;
        }
        Ok(())
    }
}

/// What a model needs, bytes.
struct Wishes {
    /// The least that it runs in.
    least: u64,
    /// The most that it can use.
    most: u64,
    /// Its header, if it is not loaded.
    opened: Option<Opened>,
}

impl Place {
    /// Places its model anew. One that is refused stays as it was; one whose weights could not be read is dropped, since no step
    /// would be possible with it, and is loaded again when it is asked for.
    fn fit(&mut self, bytes: u64) -> Result<(), Error> {
        let Some(model) = &mut self.model else { return Ok(()) };
        let placed = model.fit(bytes);
        if matches!(&placed, Err(error) if !matches!(error, Error::Refused(_))) {
            self.model = None;
        }
        placed
    }

    fn bytes(&self) -> u64 {
        self.model.as_ref().map_or(0, |model| model.placement().peak())
    }
}
