import { defineConfig } from "vite";

export default defineConfig({
  // The base URL differs by stage, so every address is relative to the page.
  base: "./",
  build: {
    target: "es2022",
    // The Content-Security-Policy allows no data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
