/**
 * The style sheet of all elements of a page; made once. A constructed sheet is no inline style: no
 * policy forbids it.
 */
import charts from "../ui/style/charts.css?inline";
import controls from "../ui/style/controls.css?inline";
import parts from "../ui/style/sheet.css?inline";
import status from "../ui/style/status.css?inline";
import own from "./element.css?inline";

let made: CSSStyleSheet | undefined;

export function sheet(): CSSStyleSheet {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(`${controls}${parts}${status}${charts}${own}`);
  }
  return made;
}
