/** The news of a job that ended well: what there is now, and what can be done next. */
import { bytes, figure } from "../../ui/format";
import { type JobName, state } from "../state/state";
import { T } from "../../ui/texts";

export function outcome(name: JobName): string {
  const words = T.status.done;
  const { model, merged, comparison, source } = state;
  switch (name) {
    case "start":
      return model ? T.status.ready : T.status.needModel;
    case "open":
    case "forecast":
      return model ? words.open(source?.name ?? "", model.summary.layers, bytes(model.summary.bytes)) : "";
    case "download":
      return words.download;
    case "forget":
      return words.forget;
    case "calibrate":
    case "look":
      return words.look;
    case "example":
      return words.example(state.agreement?.every(({ agrees }) => agrees) ?? false);
    case "depth":
      return words.depth;
    case "restore":
    case "merge": {
      if (!merged) return "";
      const done = words.merge(merged.summary.layers, bytes(merged.summary.bytes));
      return comparison ? `${done} ${measured(comparison)}` : done;
    }
    case "compare":
      return comparison ? measured(comparison) : "";
    case "write":
      return words.write;
    case "keep":
      return words.keep;
    case "lineup":
      return words.lineup;
  }
}

function measured({ dense, merged }: NonNullable<typeof state.comparison>): string {
  return T.status.done.compare(figure(dense.perplexity), figure(merged.perplexity));
}
