/** The formulas of the tour as MathML, each with its text alternative. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { TourStep } from "../state/tour-steps";

const formula = (words: string, content: TemplateResult): TemplateResult =>
  html`<div class="formula" role="img" aria-label=${words}>${content}</div>`;

export function formulaOf(step: TourStep): TemplateResult | typeof nothing {
  return FORMULAS[step]?.() ?? nothing;
}

const FORMULAS: Partial<Record<TourStep, () => TemplateResult>> = {
  activations: () =>
    formula(
      "H l is a real matrix of N rows and D columns",
      html`<math><msub><mi>H</mi><mi>l</mi></msub><mo>∈</mo><msup><mi>ℝ</mi><mrow><mi>N</mi><mo>×</mo><mi>D</mi></mrow></msup></math>`,
    ),
  distances: () =>
    formula(
      "Z i j is the length of h i minus h j",
      html`<math><msub><mi>Z</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>=</mo><mo>‖</mo><msub><mi>h</mi><mi>i</mi></msub><mo>−</mo><msub><mi>h</mi><mi>j</mi></msub><mo>‖</mo></math>`,
    ),
  kernel: () =>
    formula(
      "K i j is e to the minus, Z i j over sigma, to the p",
      html`<math><msub><mi>K</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>=</mo><mi>exp</mi><mo stretchy="false">(</mo><mo>−</mo><msup><mrow><mo stretchy="false">(</mo><msub><mi>Z</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>/</mo><mi>σ</mi><mo stretchy="false">)</mo></mrow><mi>p</mi></msup><mo stretchy="false">)</mo></math>`,
    ),
  map: () =>
    formula(
      "The embedding is v 1 over v 0, to v m over v 0",
      html`<math><mi>E</mi><mo>=</mo><mo stretchy="false">(</mo><msub><mi>v</mi><mn>1</mn></msub><mo>/</mo><msub><mi>v</mi><mn>0</mn></msub><mo>,</mo><mo>…</mo><mo>,</mo><msub><mi>v</mi><mi>m</mi></msub><mo>/</mo><msub><mi>v</mi><mn>0</mn></msub><mo stretchy="false">)</mo></math>`,
    ),
  information: () =>
    formula(
      "I is minus one half of the sum over k of the logarithm of 1 minus rho k squared, less m squared over 2 N. S is the root of 1 minus e to the minus 2 I over m",
      html`
        <math><mi>I</mi><mo>=</mo><mo>−</mo><mfrac><mn>1</mn><mn>2</mn></mfrac><munder><mo>∑</mo><mi>k</mi></munder><mi>log</mi><mo stretchy="false">(</mo><mn>1</mn><mo>−</mo><msubsup><mi>ρ</mi><mi>k</mi><mn>2</mn></msubsup><mo stretchy="false">)</mo><mo>−</mo><mfrac><msup><mi>m</mi><mn>2</mn></msup><mrow><mn>2</mn><mi>N</mi></mrow></mfrac></math>
        <math><mi>S</mi><mo>=</mo><msqrt><mrow><mn>1</mn><mo>−</mo><msup><mi>e</mi><mrow><mo>−</mo><mn>2</mn><mi>I</mi><mo>/</mo><mi>m</mi></mrow></msup></mrow></msqrt></math>
      `,
    ),
  merging: () =>
    formula(
      "theta is alpha theta l plus 1 minus alpha times theta l plus 1",
      html`<math><mi>θ</mi><mo>=</mo><mi>α</mi><msub><mi>θ</mi><mi>l</mi></msub><mo>+</mo><mo stretchy="false">(</mo><mn>1</mn><mo>−</mo><mi>α</mi><mo stretchy="false">)</mo><msub><mi>θ</mi><mrow><mi>l</mi><mo>+</mo><mn>1</mn></mrow></msub></math>`,
    ),
  repair: () =>
    formula(
      "T is 1 plus the inverse of M transposed W M plus mu, times M transposed W times t minus y minus M",
      html`<math><mi>T</mi><mo>=</mo><mn>1</mn><mo>+</mo><msup><mrow><mo stretchy="false">(</mo><msup><mi>M</mi><mo>⊤</mo></msup><mi>W</mi><mi>M</mi><mo>+</mo><mi>μ</mi><mo stretchy="false">)</mo></mrow><mrow><mo>−</mo><mn>1</mn></mrow></msup><msup><mi>M</mi><mo>⊤</mo></msup><mi>W</mi><mo stretchy="false">(</mo><mi>t</mi><mo>−</mo><mi>y</mi><mo>−</mo><mi>M</mi><mo stretchy="false">)</mo></math>`,
    ),
  evaluation: () =>
    formula(
      "Perplexity is e to the mean of minus the logarithm of the probability of each token after those before it",
      html`<math><mtext>perplexity</mtext><mo>=</mo><mi>exp</mi><mo stretchy="false">(</mo><mo>−</mo><mfrac><mn>1</mn><mi>n</mi></mfrac><munder><mo>∑</mo><mi>i</mi></munder><mi>log</mi><mi>p</mi><mo stretchy="false">(</mo><msub><mi>x</mi><mi>i</mi></msub><mo>|</mo><msub><mi>x</mi><mrow><mo>&lt;</mo><mi>i</mi></mrow></msub><mo stretchy="false">)</mo><mo stretchy="false">)</mo></math>`,
    ),
};
