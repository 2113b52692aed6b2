/**
 * A whole run as a file, and back. Arrays are base64: of little-endian float32, but for the
 * coordinates of the points, which have 12 bits each, and so two characters.
 */
import type { Preset, Measure } from "#mka";
import type { Cloud } from "../../ui/charts/procrustes";
import type { Results } from "./results";
import type { Settings } from "./settings";

const FORMAT = "mka-run/1";
/** The built-in model of the run. */
export const EXAMPLE_MODEL = "demo";

/** Where, when and with what a run was made. */
export interface Made {
  /** The model. */
  name: string;
  /** The program and its version. */
  tool: string;
  engine: string;
  /** Year, month and day. */
  when: string;
  /** Seconds that each step took there. */
  took?: readonly { name: string; seconds: number }[];
}

export interface Example {
  made: Made;
  settings: Settings;
  /** The named methods, known before any engine runs. */
  presets: readonly Preset[];
  results: Results;
}

/** `more`: what else the file has, of no use to the page. */
export function toFile({ made, settings, presets, results }: Example, more: object = {}): string {
  const { rows, matrices, influence, norms, clouds, ...plain } = results;
  return JSON.stringify({
    format: FORMAT,
    made,
    settings,
    presets,
    ...plain,
    rows: rows && { ...rows, sequence: [...rows.sequence], position: [...rows.position], ids: undefined },
    matrices: Object.fromEntries(
      [...matrices].map(([name, { layers, values, deviation }]) => [name, { layers, values: floats(values), deviation: deviation && floats(deviation) }]),
    ),
    influence: influence && floats(influence),
    norms: norms && floats(norms),
    clouds: clouds?.map(packed),
    ...more,
  });
}

/** Of 12 bits with a sign. */
const LARGEST = 2047;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

interface PackedCloud {
  dimensions: number;
  /** What the largest number stands for, 2,047. */
  scale: number;
  values: string;
}

type Packed = Omit<Results, "rows" | "matrices" | "influence" | "norms" | "clouds"> & {
  format: string;
  made: Made;
  settings: Settings;
  presets: Preset[];
  rows: { sequence: number[]; position: number[]; texts: string[]; before: string[]; after: string[] };
  matrices: Partial<Record<Measure, { layers: number; values: string; deviation?: string }>>;
  influence: string;
  norms: string;
  clouds: PackedCloud[];
};

/** Throws where the text is not such a file. */
export function fromFile(text: string): Example {
  const { format, made, settings, presets, rows, matrices, influence, norms, clouds, ...plain } = JSON.parse(text) as Packed;
  if (format !== FORMAT) throw new Error(`not a run of the format ${FORMAT}`);
  const results: Results = {
    ...plain,
    // A file of an earlier version has neither: it is of the built-in text and of a named method.
    measuredOn: plain.measuredOn ?? { own: false, ...settings.compare },
    merged: plain.merged && { ...plain.merged, method: plain.merged.method ?? settings.preset },
    rows: { ...rows, sequence: Uint32Array.from(rows.sequence), position: Uint32Array.from(rows.position) },
    matrices: new Map(
      Object.entries(matrices).map(([name, { layers, values, deviation }]) => [
        name as Measure,
        { layers, values: toFloats(values), ...(deviation !== undefined && { deviation: toFloats(deviation) }) },
      ]),
    ),
    influence: toFloats(influence),
    norms: toFloats(norms),
    clouds: clouds.map(unpacked),
  };
  return { made, settings, presets, results };
}

function packed({ dimensions, values }: Cloud): PackedCloud {
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const words = Array.from(values, (value) => {
    const step = Math.round((value / scale) * LARGEST) + LARGEST;
    return `${DIGITS[step >> 6]}${DIGITS[step & 63]}`;
  });
  return { dimensions, scale, values: words.join("") };
}

function unpacked({ dimensions, scale, values }: PackedCloud): Cloud {
  const digit = (at: number): number => DIGITS.indexOf(values.charAt(at));
  const steps = Array.from({ length: values.length / 2 }, (_, at) => 64 * digit(2 * at) + digit(2 * at + 1) - LARGEST);
  return { dimensions, values: Float32Array.from(steps, (step) => (step / LARGEST) * scale) };
}

function floats(values: Float32Array): string {
  return base64(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

function toFloats(text: string): Float32Array {
  return new Float32Array(bytes(text).buffer);
}

function base64(data: Uint8Array): string {
  return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
