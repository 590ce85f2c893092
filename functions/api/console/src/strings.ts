/** All English of the console, by the folder that shows it. A function takes the values of its sentence. */

export const shell = {
  product: "Pantheon",
  menu: "Menu",
  closeMenu: "Close the menu",
  skip: "Skip to the content",
  sessions: "Sessions",
  newSession: "New conversation",
  noSessions: "No conversation yet.",
  untitled: "Untitled conversation",
  more: "Show more",
  navigation: "Console",
  usage: "Usage",
  agents: "Agents",
  councils: "Councils",
  models: "Models",
  keys: "API keys",
  health: "Health",
  operations: "Operations",
  signedInAs: (who: string) => `Signed in as ${who}`,
  signOut: "Sign out",
  notFound: "There is no such page.",
  toStart: "Go to the start",
  loading: "Loading",
  outdated: "The console was updated. Reload the page.",
  reload: "Reload",
};

export const signingIn = {
  title: "Sign in to Pantheon",
  byIssuer: "Sign in",
  byLink: "Run pantheon token on the machine that runs Pantheon. Open the link that it prints.",
  orToken: "Or use a token or an API key:",
  token: "Token or API key",
  use: "Use it",
  failed: (why: string) => `Signing in failed: ${why}`,
  expired: "Your sign-in has expired. Turns that run go on. Sign in again to see them.",
  again: "Sign in again",
};

export const parts = {
  retry: "Try again",
  requestId: (id: string) => `Request ${id}`,
  offline: "The connection was lost.",
  offlineAdvice: "Pantheon could not be reached. Check the network and try again.",
  copy: "Copy",
  copied: "Copied",
  close: "Close",
  cancel: "Cancel",
  image: (text: string) => `Image: ${text}`,
  nothing: "Nothing here yet.",
  table: "Table",
};

export const ask = {};

export const turn = {};

export const pay = {};

export const run = {};
