import { href } from "../router.ts";
import { shell } from "../strings.ts";

export function NotFound() {
  return (
    <div class="page">
      <p>{shell.notFound}</p>
      <a href={href("")}>{shell.toStart}</a>
    </div>
  );
}
