// Vercel's AI SDK with @ai-sdk/openai-compatible, as lines of JSON. It has no list of models.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { ADDRESS, serve } from "./lines.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

async function ask({ model, messages, headers, key, stream, include_usage }) {
  const provider = createOpenAICompatible({ name: "pantheon", baseURL: ADDRESS, apiKey: key, includeUsage: include_usage ?? false });
  const asked = { model: provider(model), messages, headers, allowSystemInMessages: true };
  if (!stream) return read(await generateText(asked));
  let failed = null;
  const answer = streamText({ ...asked, onError: ({ error }) => (failed = error) });
  let pieces = 0;
  for await (const part of answer.fullStream) pieces += part.type === "text-delta";
  if (failed) throw failed;
  const parts = ["text", "reasoningText", "usage", "finishReason", "response"];
  const values = await Promise.all(parts.map((part) => answer[part]));
  return { ...read(Object.fromEntries(parts.map((part, index) => [part, values[index]]))), pieces };
}

function read({ text, reasoningText, usage, finishReason, response }) {
  const counted = { prompt_tokens: usage.inputTokens, completion_tokens: usage.outputTokens, total_tokens: usage.totalTokens };
  return {
    id: response.id, model: response.modelId, text, reasoning: reasoningText ?? "", finish_reason: finishReason,
    usage: usage.totalTokens === undefined ? null : counted,
  };
}

await serve(async () => [], ask);
