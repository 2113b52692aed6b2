/** A picture as a file: SVG with its styles written out, or PNG made of that. */

/** The properties that the pictures' style sheet sets, and that a file must bring along. */
const PROPERTIES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-dasharray",
  "stroke-linecap",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "dominant-baseline",
  "text-decoration-line",
  "visibility",
];

/** Dots per pixel of a PNG. */
const SCALE = 2;
/** Around the picture, pixels. */
const MARGIN = 8;

/** The picture as a document of its own, with the colours that it has now. */
export function svgText(picture: SVGSVGElement): string {
  const copy = picture.cloneNode(true) as SVGSVGElement;
  const originals = [picture, ...picture.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, at) => {
    const style = getComputedStyle(originals[at] as Element);
    const declared = PROPERTIES.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";");
    for (const name of ["class", "style", "tabindex", "role"]) element.removeAttribute(name);
    element.setAttribute("style", declared);
  });
  for (const element of copy.querySelectorAll("style")) element.remove();
  const [width, height] = size(picture);
  const box = [-MARGIN, -MARGIN, width + 2 * MARGIN, height + 2 * MARGIN];
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", box.join(" "));
  copy.setAttribute("width", String(box[2]));
  copy.setAttribute("height", String(box[3]));
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const background = backgroundOf(picture);
  for (const [at, name] of ["x", "y", "width", "height"].entries()) paper.setAttribute(name, String(box[at]));
  paper.setAttribute("fill", background);
  copy.prepend(paper);
  return new XMLSerializer().serializeToString(copy);
}

/** Such a document as pixels, two to one. */
export async function pngBlob(drawing: string): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([drawing], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width * SCALE;
    canvas.height = image.height * SCALE;
    const context = canvas.getContext("2d");
    context?.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!blob) throw new Error("The browser made no PNG of this picture.");
    return blob;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function size(picture: SVGSVGElement): [number, number] {
  const { width, height } = picture.getBoundingClientRect();
  return [Math.ceil(width), Math.ceil(height)];
}

/** What the picture lies on. */
function backgroundOf(element: Element): string {
  for (let at: Element | null = element; at; at = at.parentElement) {
    const { backgroundColor } = getComputedStyle(at);
    if (backgroundColor !== "rgba(0, 0, 0, 0)" && backgroundColor !== "transparent") return backgroundColor;
  }
  return "white";
}
