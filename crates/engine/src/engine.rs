//! The engine: a budget, the account of it, and threads.

use crate::{Error, Examined, Opened};
use host::{Budget, Ledger, Memory, Reader, default_threads};
use kernels::KernelSet;
use planner::Profile;

/// Heap that a header may take however small the budget: one that is refused should still say what it needs.
const LEAST_HEADER: u64 = 2 << 20;

/// A budget and the account of it. Models are opened, planned and loaded in it.
pub struct Engine {
    pub(crate) ledger: Ledger,
    pub(crate) budget: Budget,
    pub(crate) threads: usize,
    pub(crate) kernels: &'static KernelSet,
    pub(crate) profile: Profile,
    /// Who reads flash, if the user or the environment said so.
    pub(crate) reader: Reader,
    /// The program is somebody else's.
    pub(crate) guest: bool,
}

/// Settings of an engine.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    memory: Memory,
    threads: Option<usize>,
    isa: Option<String>,
    reader: Reader,
    guest: bool,
}

impl Builder {
    /// The budget of the whole process; [`Memory::Auto`] if not said.
    pub fn memory(mut self, memory: Memory) -> Builder {
        self.memory = memory;
        self
    }

    /// Threads that compute; all physical cores if not said.
    pub fn threads(mut self, threads: Option<usize>) -> Builder {
        self.threads = threads;
        self
    }

    /// Instruction set of the kernels, by name; the best there is if not said.
    pub fn isa(mut self, isa: Option<String>) -> Builder {
        self.isa = isa;
        self
    }

    /// Who reads flash; [`Reader::Auto`] if not said: whom the environment variable `PINTPOT_IO` names, or else what the
    /// profile has found best.
    pub fn reader(mut self, reader: Reader) -> Builder {
        self.reader = reader;
        self
    }

    /// The engine is a guest in a program that is somebody else's, such as an interpreter: the budget covers what the engine
    /// holds, and of the program only the library that the engine is in. [`Engine::host_bytes`] tells the rest.
    pub fn guest(mut self, guest: bool) -> Builder {
        self.guest = guest;
        self
    }

    /// Resolves the budget and opens the account.
    ///
    /// # Errors
    /// [`Error::Option`] for zero threads, [`Error::Isa`] for kernels that this machine lacks, [`Error::Host`] if the
    /// system does not tell how much memory there is or the environment names no reader.
    pub fn build(self) -> Result<Engine, Error> {
        let threads = self.threads.unwrap_or_else(default_threads);
        if threads == 0 || threads > 1024 {
            let (option, expected) = ("--threads", "from 1 to 1024");
            return Err(Error::Option { option, value: threads.to_string(), expected });
        }
        let kernels = match self.isa {
            None => kernels::best(),
            Some(name) => kernels::available().find(|k| k.name() == name).ok_or_else(|| {
                let names: Vec<&str> = kernels::available().map(|k| k.name()).collect();
                Error::Isa { name, available: names.join(", ") }
            })?,
        };
        let budget = self.memory.resolve()?;
        let reader = match self.reader {
            Reader::Auto => Reader::from_environment()?,
            named => named,
        };
        let profile = Profile::guess(threads as u32);
        let ledger = Ledger::new(budget.bytes);
        let mut engine =
            Engine { ledger, budget, threads, kernels, profile: profile.clone(), reader, guest: self.guest };
        engine.set_profile(profile);
        // What the start read ahead goes before anything else takes memory.
        engine.drop_program_pages();
        Ok(engine)
    }
}

impl Engine {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The budget in force.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The account.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes of this process that are in memory now beyond those of the account: the rest of the program, less what the account
    /// holds and nothing is in yet.
    pub fn host_bytes(&self) -> u64 {
        let host::Resident { anon, file, shared, page_tables, .. } = host::resident();
        (anon + file + shared + page_tables).saturating_sub(self.ledger.used())
    }

    /// What is known of this machine; a guess unless [`Engine::set_profile`] said more.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Replaces what is known of this machine by a measurement; see [`measure`](crate::measure).
    pub fn set_profile(&mut self, mut profile: Profile) {
        match self.reader {
            Reader::Auto => profile.ways.retain(|way| way.reader.is_granted()),
            named => profile.read_by(named),
        }
        self.profile = profile;
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Name of the instruction set in use.
    pub fn isa(&self) -> &'static str {
        self.kernels.name()
    }

    /// What is in a model file, without loading it.
    ///
    /// # Errors
    /// A file that is damaged, unknown or unsupported.
    pub fn open(&self, path: &std::path::Path) -> Result<Opened, Error> {
        Opened::from_path(path, self.limits())
    }

    /// What is in a model that is not on this machine: enough to plan it, not to load it. `name` is a file in `folder`,
    /// or empty for the folder as a whole.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_in(&self, folder: &dyn formats::Folder, name: &str) -> Result<Opened, Error> {
        Opened::from_folder(folder, name, self.limits())
    }

    /// As [`Engine::open`], and networks.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn examine(&self, path: &std::path::Path) -> Result<Examined, Error> {
        Examined::from_path(path, self.limits())
    }

    /// As [`Engine::open_in`], and networks.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn examine_in(&self, folder: &dyn formats::Folder, name: &str) -> Result<Examined, Error> {
        Examined::from_folder(folder, name, self.limits())
    }

    /// What a header may take: a part of the budget, since it is read before anything is planned.
    pub(crate) fn limits(&self) -> formats::Limits {
        let most = formats::Limits::default().heap;
        formats::Limits { heap: (self.budget.bytes / 4).clamp(LEAST_HEADER, most) }
    }
}
