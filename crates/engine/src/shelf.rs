//! Several models in one budget: loaded when they are asked for, and small or gone when another needs the room.
//!
//! What it is: who has how much of the budget. What it is not: a cache of conversations; whoever asks says all that a model
//! should remember. The one design choice is the policy: the model that is asked for gets all that it can use, and the
//! others give way, those of the lowest priority first, of these the one that was not asked for the longest. They are made
//! as small as they can run, which keeps their conversation; one is dropped only if the model that is asked for could
//! not run at all otherwise, and none makes room for one of a lower priority.

use crate::live::change_budget;
use crate::{Engine, Error, LoadOptions, Model, Opened};
use host::{Part, Reservation};
use std::path::{Path, PathBuf};

/// Heap that it takes to open a model of which nothing is known yet.
const OPENING: u64 = 4 << 20;

/// Models that share the budget of one engine.
pub struct Shelf<'a> {
    engine: &'a Engine,
    /// Bytes that all of them may hold.
    budget: u64,
    /// Bytes that are held by what was loaded before and stays.
    beside: u64,
    places: Vec<Place>,
    /// How often a model was asked for.
    asked: u64,
    /// What is in the account once, however many are loaded.
    once: Vec<Reservation>,
}

/// What is done to a model when it is loaded, such as settings that it should have.
pub type Prepare = Box<dyn Fn(&mut Model) -> Result<(), Error> + Send>;

/// A model that may be loaded.
struct Place {
    name: String,
    path: PathBuf,
    options: LoadOptions,
    priority: i32,
    prepare: Option<Prepare>,
    /// Heap that it takes to open and to plan it.
    opening: u64,
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
    /// An empty shelf in what is left of the budget of `engine`. What is loaded in it stays, and nothing else should be loaded
    /// later.
    pub fn new(engine: &'a Engine) -> Shelf<'a> {
        let beside = engine.held();
        let budget = engine.budget.bytes.saturating_sub(beside);
        Shelf { engine, budget, beside, places: Vec::new(), asked: 0, once: Vec::new() }
    }

    /// Puts a model on the shelf, or replaces the one of that name; nothing is read yet.
    pub fn add(&mut self, name: &str, path: &Path, options: LoadOptions, priority: i32) {
        self.add_prepared(name, path, options, priority, None);
    }

    /// As [`Shelf::add`]; whenever it is loaded, `prepare` is asked before the first step.
    pub fn add_prepared(
        &mut self,
        name: &str,
        path: &Path,
        options: LoadOptions,
        priority: i32,
        prepare: Option<Prepare>,
    ) {
        self.places.retain(|place| place.name != name);
        let (name, path) = (name.to_string(), path.to_path_buf());
        let opening = OPENING;
        self.places.push(Place { name, path, options, priority, prepare, opening, asked: 0, model: None });
    }

    /// The model of that name, loaded and with as much of the budget as the others of its priority and below can give.
    ///
    /// # Errors
    /// [`Error::NoSuchModel`]; [`Error::Refused`] if it cannot run beside those that do not give way to it, which all
    /// stay as they are; otherwise what is wrong with the file or the disk.
    pub fn get(&mut self, name: &str) -> Result<&mut Model, Error> {
        let (at, beside, budget) = (self.place(name)?, self.beside, self.budget + self.beside);
        self.bring(at).map_err(|error| whole(error, beside, budget))?;
        self.places[at].model.as_mut().ok_or_else(|| Error::NoSuchModel { name: name.to_string() })
    }

    /// Loads a model, or makes it as large as it can be.
    fn bring(&mut self, at: usize) -> Result<(), Error> {
        self.asked += 1;
        self.places[at].asked = self.asked;
        if self.places[at].model.is_none() {
            // Its header is read before it is known what it needs.
            let once =
                self.places.iter().filter_map(|place| place.model.as_ref()).map(Model::bytes_once).max();
            let _ = self.make_room(at, 0, once.unwrap_or(0) + self.places[at].opening);
            self.settle(at);
        }
        let Wishes { least, most, opened } = self.wishes(at)?;
        self.make_room(at, least, most)?;
        self.settle(at);
        let room = self.budget - self.held_by_others(at);
        let place = &mut self.places[at];
        match opened {
            Some(opened) => {
                let mut model = self.engine.load_within(opened, &place.options, room)?;
                if let Some(prepare) = &place.prepare {
                    prepare(&mut model)?;
                }
                if self.once.is_empty() {
                    self.once = model.give_once();
                }
                place.opening = model.placement().bytes_of(Part::Heap);
                place.model = Some(model);
            }
            None if place.bytes() < most.min(room) => place.fit(room)?,
            None => {}
        }
        if let Some(model) = &mut place.model {
            model.confine(room);
        }
        Ok(())
    }

    /// As [`Shelf::get`], for a model that leaves the shelf until it is given back.
    pub(crate) fn lend(&mut self, name: &str) -> Result<Model, Error> {
        self.get(name)?;
        let at = self.place(name)?;
        self.places[at].model.take().ok_or_else(|| Error::NoSuchModel { name: name.to_string() })
    }

    /// The model of that name, if it is loaded and not lent.
    pub(crate) fn peek(&self, name: &str) -> Option<&Model> {
        self.places.iter().find(|place| place.name == name)?.model.as_ref()
    }

    /// Takes a model back that was lent.
    pub(crate) fn give_back(&mut self, name: &str, model: Model) {
        if let Some(place) = self.places.iter_mut().find(|place| place.name == name) {
            place.model = Some(model);
        }
    }

    /// Another budget for the whole process. One of them may be lent: the others give way to it.
    ///
    /// # Errors
    /// [`Error::Refused`] with nothing changed if that model, or else the one that was asked for last, cannot run in so little.
    pub(crate) fn set_memory(&mut self, lent: Option<(&str, &mut Model)>, bytes: u64) -> Result<(), Error> {
        let beside = self.beside;
        self.set_budget(lent, bytes.saturating_sub(beside)).map_err(|error| whole(error, beside, bytes))
    }

    /// As [`Shelf::set_memory`], of what is theirs.
    fn set_budget(&mut self, lent: Option<(&str, &mut Model)>, bytes: u64) -> Result<(), Error> {
        let Some((name, model)) = lent else {
            let Some(at) = (0..self.places.len()).max_by_key(|&at| self.places[at].asked) else {
                return Ok(());
            };
            let name = self.places[at].name.clone();
            let Some(mut model) = self.places[at].model.take() else { return self.set_empty(at, bytes) };
            let changed = self.set_budget(Some((&name, &mut model)), bytes);
            self.give_back(&name, model);
            return changed;
        };
        model.check_fit(bytes)?;
        let (at, before) = (self.place(name)?, self.budget);
        let least = model.least_now()?;
        let most = model.most(bytes)?;
        let ledger = self.engine.ledger.clone();
        let changed = change_budget(&ledger, bytes + self.beside, || {
            self.budget = bytes;
            self.make_room(at, least, most)?;
            self.settle(at);
            model.shrink(bytes - self.held_by_others(at))
        });
        if matches!(changed, Err(Error::Refused(_))) {
            self.budget = before;
        }
        changed
    }

    /// Another budget where the model that was asked for last is not loaded.
    fn set_empty(&mut self, at: usize, bytes: u64) -> Result<(), Error> {
        let Place { path, options, .. } = &self.places[at];
        let opened = self.engine.open(path)?;
        if let Err(refused) = self.engine.plan_in(&opened, options, bytes)? {
            return Err(Error::Refused(Box::new(refused)));
        }
        while self.held_by_others(at) > bytes && self.drop_oldest(at) {}
        self.budget = bytes;
        self.engine.ledger.set_budget(bytes + self.beside);
        Ok(())
    }

    /// Drops the model that was not asked for the longest, but not that one.
    fn drop_oldest(&mut self, at: usize) -> bool {
        let others = self.places.iter_mut().enumerate();
        let others = others.filter(|(other, place)| *other != at && place.model.is_some());
        let oldest = others.min_by_key(|(_, place)| place.asked);
        oldest.map(|(_, place)| place.model = None).is_some()
    }

    /// Drops a model's memory; it is loaded again when it is asked for.
    pub fn unload(&mut self, name: &str) {
        self.places.iter_mut().filter(|place| place.name == name).for_each(|place| place.model = None);
    }

    /// What every model holds, in the order in which they came. What is there once however many are loaded, such as the
    /// program, is with the first.
    pub fn held(&self) -> Vec<Held> {
        let mut first = true;
        let of = |place: &Place| {
            let bytes = if first { place.bytes() } else { place.own_bytes() };
            first &= place.model.is_none();
            Held { name: place.name.clone(), priority: place.priority, bytes }
        };
        self.places.iter().map(of).collect()
    }

    fn place(&self, name: &str) -> Result<usize, Error> {
        let at = self.places.iter().position(|place| place.name == name);
        at.ok_or_else(|| Error::NoSuchModel { name: name.to_string() })
    }

    /// The others have no more than they hold, so that what is left is left to one.
    fn settle(&mut self, at: usize) {
        let others = self.places.iter_mut().enumerate().filter(|(other, _)| *other != at);
        others.filter_map(|(_, place)| place.model.as_mut()).for_each(|model| {
            let peak = model.placement().peak();
            model.confine(peak);
        });
    }

    /// What a model needs, and its header if it is not loaded.
    fn wishes(&self, at: usize) -> Result<Wishes, Error> {
        let Place { path, options, model, .. } = &self.places[at];
        let budget = self.budget;
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

    /// What the others hold, but for what is there once.
    fn held_by_others(&self, at: usize) -> u64 {
        let others = self.places.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, place)| place.own_bytes()).sum()
    }

    /// Makes others give way until there is room for `most`, or at least for `least`.
    fn make_room(&mut self, at: usize, least: u64, most: u64) -> Result<(), Error> {
        let budget = self.budget;
        let priority = self.places[at].priority;
        let mut others: Vec<usize> = (0..self.places.len())
            .filter(|&other| other != at && self.places[other].model.is_some())
            .filter(|&other| self.places[other].priority <= priority)
            .collect();
        others.sort_unstable_by_key(|&other| (self.places[other].priority, self.places[other].asked));
        let keep: u64 =
            self.held_by_others(at) - others.iter().map(|&other| self.places[other].own_bytes()).sum::<u64>();
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

/// A refusal in the figures of the whole process, which holds so much `beside` the shelf.
fn whole(error: Error, beside: u64, budget: u64) -> Error {
    match error {
        Error::Refused(mut refusal) => {
            refusal.needed += beside;
            refusal.budget = budget;
            Error::Refused(refusal)
        }
        Error::NoRoomBeside { needed, held, .. } => {
            Error::NoRoomBeside { needed, held: held + beside, budget }
        }
        other => other,
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

    /// What it adds to the others.
    fn own_bytes(&self) -> u64 {
        self.model.as_ref().map_or(0, |model| model.placement().peak().saturating_sub(model.bytes_once()))
    }
}
