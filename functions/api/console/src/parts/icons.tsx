/** Small drawings. They say nothing that the text beside them does not say. */
const PATHS = {
  menu: "M3 6h18M3 12h18M3 18h18",
  close: "M5 5l14 14M19 5L5 19",
  plus: "M12 5v14M5 12h14",
  chat: "M4 5h16v11H9l-5 4V5z",
  chart: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  people:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 19c0-3 3-5 6-5s6 2 6 5M17 11a3 3 0 1 0-1-5.8M16 14c3 0 6 2 6 5",
  temple: "M12 3 3 9v2h18V9l-9-6zM6 12v6M12 12v6M18 12v6M3 20h18",
  cube: "M12 3l8 4.5v9L12 21l-8-4.5v-9L12 3zM4 7.5l8 4.5 8-4.5M12 12v9",
  key: "M15 9a4 4 0 1 1-3.5 6L4 22M4 22v-3M7 19l2 2",
  heart: "M3 12h4l3-7 4 14 3-7h4",
  tools: "M4 7h10M18 7h2M4 17h2M10 17h10M14 4v6M8 14v6",
  out: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
  send: "M4 12l16-8-6 16-3-7-7-1z",
  down: "M12 5v14M6 13l6 6 6-6",
  stop: "M6 6h12v12H6z",
  copy: "M8 8h11v12H8zM5 16V4h11",
  check: "M5 13l4 4L19 7",
  up: "M12 19V5M6 11l6-6 6 6",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L21 21",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
