/** A calibration: hidden states of a model at chosen rows, and every measure computed from them. */
import { split } from "./options";
import type { Made, WorkerProxy } from "./proxy";
import type {
  CalibrationInfo,
  Embedding,
  Hidden,
  LayerMatrix,
  ManifoldOptions,
  RowTexts,
  SimilarityName,
  SimilarityOptions,
  Watch,
} from "./types";

export class Calibration {
  /** @internal */
  constructor(
    /** @internal */
    readonly proxy: WorkerProxy<Made>,
    /** Rows, tokens and sequences that took part, and what to know about them. */
    readonly info: CalibrationInfo,
  ) {}

  /**
   * Similarity of the outputs of each two layers: `layers` x `layers` values, row-major.
   * `npib`, `npib-knn`, `cosine` and `cka` are similarities in [0, 1]; `angular` is a distance.
   * With `seeds` above 1, `values` are means over so many draws of rows, and `deviation` is set.
   */
  async similarity(name: SimilarityName, options: SimilarityOptions & Watch = {}): Promise<LayerMatrix> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("similarity", [name, rest], watch)) as LayerMatrix;
  }

  /** 1 - cos(x[l], x[l+1]), the mean over the rows: one value per layer. */
  async blockInfluence(options: Watch = {}): Promise<Float32Array> {
    return (await this.proxy.call("blockInfluence", [], options)) as Float32Array;
  }

  /**
   * The diffusion map of a layer's output; `values` is `rows` x `dimensions`, `eigenvalues` has
   * `dimensions` + 1.
   */
  async embedding(layer: number, options: ManifoldOptions & Watch = {}): Promise<Embedding> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("embedding", [layer, rest], watch)) as Embedding;
  }

  /**
   * x[l] at the chosen rows, l = 0 (the embeddings) to L (the last block's output, before the final
   * norm).
   */
  async hidden(l: number, options: Watch = {}): Promise<Hidden> {
    return (await this.proxy.call("hidden", [l], options)) as Hidden;
  }

  /**
   * The tokens of the rows and about six on either side, in the order of `embedding` and `hidden`.
   */
  async rows(options: Watch = {}): Promise<RowTexts> {
    return (await this.proxy.call("rows", [], options)) as RowTexts;
  }

  /** The mean Euclidean norm of x[l] over the rows, l = 0 to L: L + 1 values. */
  async norms(options: Watch = {}): Promise<Float32Array> {
    return (await this.proxy.call("norms", [], options)) as Float32Array;
  }

  /** Frees its memory. */
  close(): void {
    this.proxy.close();
  }
}
