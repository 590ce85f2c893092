import { render } from "preact";
import "./style/index.css";
import { App } from "./app.tsx";
import { keepTitle } from "./shell/page_title.ts";
import { begin } from "./signing_in/session.ts";

const place = document.getElementById("app");
if (place) {
  keepTitle(place);
  begin().finally(() => render(<App />, place));
}
