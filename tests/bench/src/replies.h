/* The words of the mock provider: answers in the shapes of the three dialects, with figures that never change. */
#ifndef BENCH_REPLIES_H
#define BENCH_REPLIES_H

enum dialect { OPENAI, ANTHROPIC, MINIMAX };

/* A whole body is start, text, end. */
static const char *const WHOLE_START[] = {
    [OPENAI] = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1780000000,\"model\":\"gpt-4.1-mini\","
               "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
    [ANTHROPIC] = "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt-4.1-mini\","
                  "\"content\":[{\"type\":\"text\",\"text\":\"",
    [MINIMAX] = "{\"id\":\"bench\",\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":\"assistant\","
                "\"name\":\"bench\",\"content\":\"",
};
static const char *const WHOLE_END[] = {
    [OPENAI] = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":330,"
               "\"total_tokens\":540,\"prompt_tokens_details\":{\"cached_tokens\":64}}}",
    [ANTHROPIC] = "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":146,"
                  "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":64,\"output_tokens\":330}}",
    [MINIMAX] = "\"}}],\"created\":1780000000,\"model\":\"gpt-4.1-mini\",\"object\":\"chat.completion\",\"usage\":{"
                "\"total_tokens\":540,\"prompt_tokens\":210,\"completion_tokens\":330},"
                "\"base_resp\":{\"status_code\":0,\"status_msg\":\"\"}}",
};
static const char ERROR_BODY[] = "{\"error\":{\"message\":\"ordered by the query\",\"type\":\"server_error\",\"code\":null}}";

static const char ANTHROPIC_START[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\","
    "\"role\":\"assistant\",\"model\":\"gpt-4.1-mini\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":146,"
    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":64,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
    "{\"type\":\"text\",\"text\":\"\"}}\n\n";

static const char ANTHROPIC_END[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
    "\"usage\":{\"output_tokens\":330}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static const char MINIMAX_END[] =
    "data: {\"id\":\"bench\",\"object\":\"chat.completion\",\"model\":\"gpt-4.1-mini\",\"choices\":[{\"index\":0,"
    "\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"all again\"}}],\"usage\":{"
    "\"total_tokens\":540,\"prompt_tokens\":210,\"completion_tokens\":330},\"base_resp\":{\"status_code\":0}}\n\n";

static const char OPENAI_FINISH[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1780000000,\"model\":\"gpt-4.1-mini\","
    "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

static const char OPENAI_USAGE[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1780000000,\"model\":\"gpt-4.1-mini\","
    "\"choices\":[],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":330,\"total_tokens\":540}}\n\n";

#endif
