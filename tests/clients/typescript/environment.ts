// What the test tells a program, and how a program answers.
declare const process: { env: Record<string, string | undefined> };

export const baseUrl = process.env.PANTHEON_URL ?? "";
export const headers = { Authorization: `Bearer ${process.env.PANTHEON_TOKEN}` };
export const refused = { Authorization: "Bearer nonsense" };

export function tell(value: unknown): void {
  console.log(JSON.stringify(value));
}
