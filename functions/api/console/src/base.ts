/** The address of the deployment, without a final slash: `https://host` or `https://host/live`. */
export const base = new URL("..", location.href.replace(/[?#].*$/, "")).href.replace(/\/$/, "");

/** The address of this page without query and fragment, where the issuer sends people back to. */
export const here = `${base}/console/`;
