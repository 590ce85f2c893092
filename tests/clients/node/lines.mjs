// The loop that every program in JavaScript shares: see ../programs/lines.py.
import { createInterface } from "node:readline";

export const { CLIENT_ADDRESS: ADDRESS } = process.env;

// Answer lines until they end. `ask` resolves to the answer to one request, or rejects with the client's error.
export async function serve(listModels, ask) {
  const outcome = (request) =>
    ask(request).catch((error) => ({ error: { message: String(error), type: error.name, ...told(error) } }));
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const answer = !Array.isArray(asked) ? await listModels(asked.key) : await Promise.all(asked.map(outcome));
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

// Each library names status and code in its own way. The AI SDK wraps the last of several errors.
function told(error) {
  const { status, statusCode, code, data } = error.lastError ?? error;
  return { type: (error.lastError ?? error).constructor.name, status: status ?? statusCode ?? null, code: code ?? data?.error?.code ?? null };
}
