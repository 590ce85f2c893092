import { useEffect, useId, useState } from "preact/hooks";
import { go } from "../router.ts";
import { pay as strings } from "../strings.ts";
import { isDay, type Period, type Preset, plusDays, presetsOf } from "./period.ts";

/** Choose a period: a preset, or a first and a last day. `at` is the address of a period. */
export function PeriodPicker({ period, at }: { period: Period; at: (period: Period) => string }) {
  const presets = Object.entries(presetsOf(new Date())) as [Preset, Period][];
  return (
    <nav class="period row" aria-label={strings.period}>
      {presets.map(([name, preset]) => (
        <a
          key={name}
          class="button small"
          href={at(preset)}
          aria-current={preset.from === period.from && preset.to === period.to ? "true" : undefined}
        >
          {strings.presets[name]}
        </a>
      ))}
      <OwnDays period={period} at={at} />
    </nav>
  );
}

function OwnDays({ period, at }: { period: Period; at: (period: Period) => string }) {
  const [first, setFirst] = useState(period.from);
  const [last, setLast] = useState(plusDays(period.to, -1));
  const [isBad, setIsBad] = useState(false);
  useEffect(() => {
    setFirst(period.from);
    setLast(plusDays(period.to, -1));
    setIsBad(false);
  }, [period.from, period.to]);
  const [firstField, lastField] = [useId(), useId()];
  const show = (event: Event) => {
    event.preventDefault();
    const isGood = isDay(first) && isDay(last) && first <= last;
    setIsBad(!isGood);
    if (isGood) go(at({ from: first, to: plusDays(last, 1) }));
  };
  return (
    <form class="row small" onSubmit={show} noValidate>
      <label for={firstField}>{strings.first}</label>
      <input id={firstField} type="date" value={first} onInput={(it) => setFirst(it.currentTarget.value)} />
      <label for={lastField}>{strings.last}</label>
      <input id={lastField} type="date" value={last} onInput={(it) => setLast(it.currentTarget.value)} />
      <button type="submit" class="small">
        {strings.show}
      </button>
      {isBad && <p role="alert">{strings.backwards}</p>}
    </form>
  );
}
