/** The words of the tour. They are loaded with it; all others are in ui/texts.ts. */
import type { TourStep } from "../state/tour-steps";

interface StepText {
  title: string;
  /** One idea; each string is a paragraph. */
  text: string[];
  /** What can be tried on the page. */
  hint?: string;
}

export const TOUR = {
  label: "Guided tour",
  place: (step: number, steps: number) => `Step ${step} of ${steps}`,
  go: (step: number, title: string) => `Step ${step}: ${title}`,
  back: "Back",
  next: "Next",
  done: "Done",
  close: "Leave the tour",
  show: "Go there",
  hint: "Try it:",
  steps: {
    activations: {
      title: "Activations: what a layer says",
      text: [
        "A text runs through the model, layer by layer. After each layer every token is a list of D numbers. At N tokens, these lists are the rows of a table: the layer's activations.",
        "The same tokens for every layer. The first 8 of each sequence are left out: many models park a huge vector on the first token, and it would drown all others.",
      ],
      hint: "another seed draws other tokens from the same text.",
    },
    distances: {
      title: "Distances: which tokens does it hold alike?",
      text: [
        "Two layers can't be compared number by number: each may turn or shift the whole cloud of points. What does not change by that is how far the tokens are from each other.",
        "So take, for one layer, the distance between each two of its N rows.",
      ],
    },
    kernel: {
      title: "Kernel: near counts, far does not",
      text: [
        "Long distances say little about the shape of a cloud. The kernel turns each distance into a closeness between 0 and 1, which fades with the distance.",
        "The width σ is the layer's own median distance, so a layer with larger numbers is not at a disadvantage. The power p is 2.",
      ],
      hint: "a small width lets each token see only its nearest neighbours; much too small, and the cloud falls apart.",
    },
    map: {
      title: "Diffusion map: the shape in the numbers",
      text: [
        "Let a walker hop from token to token, mostly to close ones. Where many walks lead is a coordinate: the leading eigenvectors of the hopping rule, divided by the first of them.",
        "Eight of them are kept. They follow the surface on which the tokens lie: the layer's manifold.",
      ],
      hint: "move through the layers and follow one token.",
    },
    information: {
      title: "Information: does one layer tell the other?",
      text: [
        "If a token's place on one layer's manifold tells its place on another's, the two layers share information. The ρ are the canonical correlations of the two maps, after each coordinate is brought to a normal distribution.",
        "I is scaled to a similarity S between 0 and 1. Unrelated layers get about 0.05, a layer and itself 0.999.",
      ],
      hint: "other measures are in this list. Plain ones, like the cosine, are the test of whether the elaborate one earns its keep.",
    },
    matrix: {
      title: "The matrix: who is like whom",
      text: [
        "One similarity for each two layers, bright for alike. The diagonal is each layer with itself. Next to it are neighbours; in most models the inner ones are much alike, and the first and the last stand out.",
      ],
      hint: "walk over the cells with the arrow keys.",
    },
    merging: {
      title: "Merging: two layers become one",
      text: [
        "The most alike neighbours are replaced by one layer, whose weights θ are the weighted mean of theirs. In the paper the weight α is their similarity S. Norm gains are first folded into the matrices after them.",
        "Then the similarity is measured anew, and the next pair goes, until as many are gone as were to go.",
      ],
      hint: "a click on a cell next to the diagonal merges that pair.",
    },
    failure: {
      title: "What goes wrong",
      text: [
        "That two layers say nearly the same does not make their weights alike. Their mean is a layer that nobody trained, and all later layers get a stream that they have never seen.",
        "The code published with the paper does not show this. Its averaged matrices go into a copy that never reaches the model: what it measures is the model with its last layers dropped. Its kernel sees the first tokens of one prompt, its weight is about 0.62 whatever the layers are, and it calibrates on the test questions.",
        "Others did write those weights: Llama-3-8B with 13 of 32 layers merged away still picked the right letters (MMLU 0.647), at a perplexity of 31,000 on the same questions. That is a ruined model.",
      ],
      hint: "both are methods in this list: what the code does, and what it meant to do.",
    },
    repair: {
      title: "Repair: fit the gap, in closed form",
      text: [
        "After the gap the stream t of the original model is known. So solve for the linear map T that brings the new stream closest to it: ridge regression over all calibration tokens, no training. T then goes into a matrix that is there anyway, so the model does not grow.",
        "It is kept only if the loss falls on calibration text that it was not fitted on. On SmolLM2-135M without 3 of 30 layers, dropping a run of blocks gave a perplexity of 56.4, with this repair 42.4; the whole model has 36.1.",
      ],
      hint: "choose the linear repair, and merge again.",
    },
    evaluation: {
      title: "Evaluation: what did it cost?",
      text: [
        "Judge by text that took no part so far. Perplexity asks how well each next token is predicted; it counts all tokens, so it can't be fooled like a choice among four letters.",
        "KL divergence and agreement say how far the predictions moved from the original's; two texts from one beginning show what that means. One number alone is never the answer.",
      ],
      hint: "now load a model of your own, and see what its layers are worth.",
    },
  } as Record<TourStep, StepText>,
};
