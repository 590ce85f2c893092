// OpenAI's SDK for JavaScript, as lines of JSON.
import OpenAI from "openai";
import { ADDRESS, serve } from "./lines.mjs";

const client = new OpenAI({ baseURL: ADDRESS, apiKey: "of-each-request", timeout: 60_000 });

async function ask({ model, messages, headers, key, stream, include_usage }) {
  const asked = client.withOptions({ apiKey: key });
  if (!stream) {
    const { id, model: named, usage, pantheon, choices } = await asked.chat.completions.create({ model, messages }, { headers });
    const [{ message, finish_reason }] = choices;
    return { id, model: named, usage, pantheon, text: message.content, reasoning: "", finish_reason };
  }
  const options = include_usage ? { stream_options: { include_usage } } : {};
  const read = { text: "", reasoning: "", usage: null, pieces: 0 };
  for await (const chunk of await asked.chat.completions.create({ model, messages, stream, ...options }, { headers })) {
    Object.assign(read, { id: chunk.id, model: chunk.model });
    read.usage = chunk.usage ?? read.usage;
    read.pantheon = chunk.pantheon ?? read.pantheon;
    for (const { delta, finish_reason } of chunk.choices) {
      read.text += delta.content ?? "";
      read.reasoning += delta.reasoning_content ?? "";
      Object.assign(read, { finish_reason, pieces: read.pieces + 1 });
    }
  }
  return read;
}

async function listModels(key) {
  const ids = [];
  for await (const model of client.withOptions({ apiKey: key }).models.list()) ids.push(model.id);
  return ids;
}

await serve(listModels, ask);
