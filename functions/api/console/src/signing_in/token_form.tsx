import { useId, useState } from "preact/hooks";
import { signingIn } from "../strings.ts";
import { signInBy } from "./session.ts";

export function TokenForm() {
  const [given, setGiven] = useState("");
  const field = useId();
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (given.trim()) void signInBy(given);
      }}
    >
      <label for={field}>{signingIn.token}</label>
      <div class="row">
        <input
          id={field}
          type="password"
          autocomplete="off"
          value={given}
          onInput={(event) => setGiven(event.currentTarget.value)}
        />
        <button type="submit">{signingIn.use}</button>
      </div>
    </form>
  );
}
