import { render } from "preact";
import "./style/index.css";
import { App } from "./app.tsx";
import { begin } from "./signing_in/session.ts";

const place = document.getElementById("app");
if (place) {
  begin().finally(() => render(<App />, place));
}
