/* pintpot runs neural networks in the memory you give it. Made from shells/c/src; do not edit. */

#ifndef PINTPOT_H
#define PINTPOT_H

#include <stdint.h>

// How a call ended; the values are the exit codes of the program.
typedef enum {
  // It was done.
  PINTPOT_CODE_OK = 0,
  // It did not work.
  PINTPOT_CODE_FAILURE = 1,
  // What was asked for cannot be.
  PINTPOT_CODE_USAGE = 2,
  // The budget does not allow it; nothing was loaded.
  PINTPOT_CODE_BUDGET = 3,
  // The model is not there or not supported.
  PINTPOT_CODE_MISSING = 4,
  // A file is damaged, or cannot be read or written.
  PINTPOT_CODE_DAMAGED = 5,
  // The network.
  PINTPOT_CODE_NETWORK = 6,
} PintpotCode;

// A budget and the account of it.
typedef struct PintpotEngine PintpotEngine;

// A model in memory. Calls of several threads are answered one after the other.
typedef struct PintpotModel PintpotModel;

// What is wanted of an answer; begin with `pintpot_options()`.
typedef struct {
  // Tokens at most; 0 for up to the end of the context.
  uint32_t max_tokens;
  // 0 takes the likeliest token; larger is more varied.
  float temperature;
  // Only so many of the likeliest tokens; 0 is all.
  uint32_t top_k;
  // Only the likeliest tokens that together have this probability.
  float top_p;
  // Only tokens at least this fraction as likely as the likeliest.
  float min_p;
  // Divides the logits of recent tokens; 1 is none.
  float repetition_penalty;
  // Taken from the logit of every recent token.
  float presence_penalty;
  // Taken from a recent token's logit for each time it occurred.
  float frequency_penalty;
  // Start of the draws.
  uint64_t seed;
  // The answer is JSON that this schema allows; null for any text.
  const char *json_schema;
  // A text that ends the answer; null for none.
  const char *stop;
} PintpotOptions;

// Hears a piece of an answer as it is known; anything but 0 ends the answer there. The piece is there until it returns.
typedef int (*PintpotOnText)(const char *piece, void *data);

// How a model is to be loaded; begin with `pintpot_load_options()`.
typedef struct {
  // Tokens that a conversation may have; 0 for the library's choice.
  uint32_t context;
  // How keys and values are kept: "f16" or "q8_0"; null for f16.
  const char *kv;
} PintpotLoadOptions;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What is taken if nothing else is said.
PintpotOptions pintpot_options(void);

// Goes on with a text. `on_text` hears the pieces, with `data`; `answer`, which may be null, gets a text in JSON: the whole
// answer, why it ended, its `logits_digest`, tokens and seconds.
//
// # Safety
// `model` is a handle, `prompt` a text, `options` null or options; `on_text` may be called with `data`; `answer` is null or may
// be written to.
PintpotCode pintpot_generate(const PintpotModel *model,
                             const char *prompt,
                             const PintpotOptions *options,
                             PintpotOnText on_text,
                             void *data,
                             char **answer);

// Answers a conversation: `messages` is a list in JSON, `[{"role": "user", "content": "Hello"}]`. All else is as of
// `pintpot_generate()`.
//
// # Safety
// As of `pintpot_generate()`, `messages` a text.
PintpotCode pintpot_chat(const PintpotModel *model,
                         const char *messages,
                         const PintpotOptions *options,
                         PintpotOnText on_text,
                         void *data,
                         char **answer);

// What went wrong with the last call of this thread that did not end with `Ok`: words that say what to do. The text is there
// until the thread's next call.
const char *pintpot_error(void);

// What is taken if nothing else is said.
PintpotLoadOptions pintpot_load_options(void);

// Makes an engine.
//
// `memory` is the budget: "2GiB", "1.5G", "800MiB", "50%", or null for what the machine can spare. It covers all that the
// engine holds; the rest of your program is `pintpot_host_bytes()`. `threads` is how many compute; 0 for all cores.
//
// # Safety
// `memory` is null or a text; `engine` may be written to.
PintpotCode pintpot_engine_new(const char *memory,
                               uint32_t threads,
                               PintpotEngine **engine);

// Frees an engine; models that it loaded live on. Null is nothing to free.
//
// # Safety
// `engine` is null, or was given out by this library and not freed since.
void pintpot_engine_free(PintpotEngine *engine);

// Bytes of this process that are in memory now beyond those of the engine's account: the rest of your program, less what the
// account holds and nothing is in yet. 0 if `engine` is null.
//
// # Safety
// `engine` is null, or was given out by this library and not freed since.
uint64_t pintpot_host_bytes(const PintpotEngine *engine);

// What a budget would give, before a weight is read: `json` gets a text with the account, the forecast and whether it fits.
// A budget that is too small is no failure here: `fits` is false, and `smallest_budget_bytes` says what would do.
//
// # Safety
// `engine` is a handle, `model` a text, `options` null or options; `json` may be written to.
PintpotCode pintpot_plan(const PintpotEngine *engine,
                         const char *model,
                         const PintpotLoadOptions *options,
                         char **json);

// Loads a model, or refuses it with `Budget` before a weight is read. `model` is a path, or a name of a model that
// `pintpot pull` has fetched. `options` may be null.
//
// # Safety
// `engine` is a handle, `model` a text, `options` null or options; `loaded` may be written to.
PintpotCode pintpot_load(const PintpotEngine *engine,
                         const char *model,
                         const PintpotLoadOptions *options,
                         PintpotModel **loaded);

// Frees a model, and gives its memory back. Null is nothing to free.
//
// # Safety
// `model` is null, or was given out by this library, not freed since, and no call with it is under way.
void pintpot_model_free(PintpotModel *model);

// Tokens that a conversation with the model may have; 0 if `model` is null.
//
// # Safety
// `model` is null, or was given out by this library and not freed since.
uint32_t pintpot_model_context(const PintpotModel *model);

// The version of the library. The text is there for good.
const char *pintpot_version(void);

// Frees a text that this library gave out; null is nothing to free.
//
// # Safety
// `text` is null, or was given out by this library and not freed since.
void pintpot_text_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PINTPOT_H */
