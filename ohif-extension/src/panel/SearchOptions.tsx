/** What to search among and how to show it; each change searches again. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

import { activeFilters, CHOICES_OF_GROUP, CHOICES_OF_K, type Options } from '../options';
import type { State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';

export function SearchOptions({ state: { options, search } }: { state: State }) {
  const service = useService();
  // Offered until an answer says that the model tells no classes apart.
  const tellsClasses = search.phase !== 'found' || search.answer.prediction !== null;
  const change = (change: Partial<Options>) => service.setOptions(change);
  return (
    <fieldset className="cbmir-options" data-cy="cbmir-options">
      <legend className="cbmir-hidden">{text.options}</legend>
      <div className="cbmir-pair">
        <Field label={text.group}>
          {(id) => (
            <select
              id={id}
              value={options.group}
              onChange={(event) => change({ group: event.currentTarget.value as Options['group'] })}
            >
              {CHOICES_OF_GROUP.map((group) => (
                <option key={group} value={group}>
                  {text.groups[group]}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={text.k}>
          {(id) => (
            <select id={id} value={options.k} onChange={(event) => change({ k: Number(event.currentTarget.value) })}>
              {CHOICES_OF_K.map((k) => (
                <option key={k}>{k}</option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <Check label={text.sameModality} value={options.sameModality} set={(sameModality) => change({ sameModality })} />
      <Check label={text.sameSequence} value={options.sameSequence} set={(sameSequence) => change({ sameSequence })} />
      <Check label={text.labelledOnly} value={options.labelledOnly} set={(labelledOnly) => change({ labelledOnly })} />
      {(tellsClasses || options.sameClass) && (
        <Check label={text.sameClass} value={options.sameClass} set={(sameClass) => change({ sameClass })} />
      )}
      <Check label={text.verifiedOnly} value={options.verifiedOnly} set={(verifiedOnly) => change({ verifiedOnly })} />
      <div className="cbmir-pair">
        <DateField label={text.from} value={options.from} set={(from) => change({ from })} />
        <DateField label={text.to} value={options.to} set={(to) => change({ to })} />
      </div>
      {activeFilters(options) > 0 && (
        <button type="button" className="cbmir-link" data-cy="cbmir-reset" onClick={() => service.resetFilters()}>
          {text.reset}
        </button>
      )}
    </fieldset>
  );
}

function Field({ label, children }: { label: string; children: (id: string) => ComponentChildren }) {
  const id = useId();
  return (
    <span className="cbmir-field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </span>
  );
}

function Check({ label, value, set }: { label: string; value: boolean; set: (value: boolean) => void }) {
  return (
    <label className="cbmir-check">
      <input type="checkbox" checked={value} onChange={(event) => set(event.currentTarget.checked)} />
      {label}
    </label>
  );
}

function DateField({ label, value, set }: { label: string; value: string; set: (value: string) => void }) {
  return (
    <Field label={label}>
      {(id) => <input id={id} type="date" value={value} onChange={(event) => set(event.currentTarget.value)} />}
    </Field>
  );
}
