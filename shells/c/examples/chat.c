/* A question, answered within a budget: chat MODEL MEMORY "QUESTION". See docs/c.md for how to compile it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pintpot.h"

static int print(const char *piece, void *data) {
    int *pieces = data;
    *pieces += 1;
    fputs(piece, stdout);
    fflush(stdout);
    return 0; /* anything else ends the answer here */
}

static int failed(const char *what, PintpotCode code) {
    fprintf(stderr, "%s: %s\n", what, pintpot_error());
    return (int)code;
}

/* A conversation of one turn as JSON. */
static char *conversation(const char *question) {
    const char *begin = "[{\"role\": \"user\", \"content\": \"", *end = "\"}]";
    char *json = malloc(strlen(begin) + 6 * strlen(question) + strlen(end) + 1);
    if (json == NULL) return NULL;
    char *at = json + sprintf(json, "%s", begin);
    for (const unsigned char *c = (const unsigned char *)question; *c; c++) {
        if (*c == '"' || *c == '\\') *at++ = '\\', *at++ = (char)*c;
        else if (*c < 0x20) at += sprintf(at, "\\u%04x", *c);
        else *at++ = (char)*c;
    }
    strcpy(at, end);
    return json;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: chat MODEL MEMORY QUESTION\n");
        return PINTPOT_CODE_USAGE;
    }
    PintpotEngine *engine = NULL;
    PintpotModel *model = NULL;
    char *plan = NULL, *answer = NULL;
    int pieces = 0;

    PintpotCode code = pintpot_engine_new(words[2], 0, &engine);
    if (code != PINTPOT_CODE_OK) return failed("no engine", code);

    PintpotLoadOptions load = pintpot_load_options();
    load.context = 256;
    code = pintpot_plan(engine, words[1], &load, &plan);
    if (code != PINTPOT_CODE_OK) return failed("no plan", code);
    fprintf(stderr, "%s\n", plan);
    pintpot_text_free(plan);

    code = pintpot_load(engine, words[1], &load, &model);
    if (code != PINTPOT_CODE_OK) return failed("not loaded", code);

    PintpotOptions options = pintpot_options();
    options.max_tokens = 24;
    char *messages = conversation(words[3]);
    code = pintpot_chat(model, messages, &options, print, &pieces, &answer);
    free(messages);
    if (code != PINTPOT_CODE_OK) return failed("no answer", code);
    fprintf(stderr, "\n%d pieces, %s\n", pieces, answer);

    pintpot_text_free(answer);
    pintpot_model_free(model);
    pintpot_engine_free(engine);
    return 0;
}
