import { Component, type ComponentChildren } from "preact";
import { shell } from "../strings.ts";

/** Keep a fault of one part of the page from taking the rest away. The API of a later release may tell unknown things. */
export class Boundary extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  static override getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    console.error(error);
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div class="note bad" role="alert">
        <p>{shell.faulty}</p>
        <button type="button" onClick={() => location.reload()}>
          {shell.reload}
        </button>
      </div>
    );
  }
}
