/** What a model that was opened and one that was merged have in common. */
import { generate } from "./generate";
import { split } from "./options";
import type { Made, WorkerProxy } from "./proxy";
import type {
  ChoiceOptions,
  ChoiceResult,
  ClozeOptions,
  ClozeResult,
  Estimate,
  EstimateOptions,
  GenerateOptions,
  Input,
  Logits,
  Summary,
  Token,
  Watch,
} from "./types";

export abstract class BaseModel {
  /** @internal */
  constructor(
    /** @internal */
    readonly proxy: WorkerProxy<Made>,
    /** What the headers of the files contain. Sizes in bytes. */
    readonly summary: Summary,
  ) {}

  /**
   * What a calibration on so many windows, merging a pair, and an evaluation of as many windows
   * will take: from the headers, and a measurement of about a second on the model's own weights.
   */
  async estimate(options: EstimateOptions = {}): Promise<Estimate> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("estimate", [rest], watch)) as Estimate;
  }

  /** The logits after the last token of a text, or of token ids. */
  async logits(options: Input & Watch): Promise<Logits> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("logits", [rest], watch)) as Logits;
  }

  /** Questions with four choices (MMLU's csv). Letter accuracy deceives without the perplexity. */
  async choice(options: ChoiceOptions & Watch): Promise<ChoiceResult> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("choice", [rest], watch)) as ChoiceResult;
  }

  /** Facts to complete: the rank of the true next token among all. */
  async cloze(options: ClozeOptions & Watch): Promise<ClozeResult> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("cloze", [rest], watch)) as ClozeResult;
  }

  /** Continues a prompt, token by token. Leaving the loop early cancels. */
  generate(options: GenerateOptions): AsyncGenerator<Token, void, undefined> {
    return generate(this.proxy, options);
  }

  /** Frees its memory. What was made from it stays usable. */
  close(): void {
    this.proxy.close();
  }
}
