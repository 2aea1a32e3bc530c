/**
 * Screens of a terminal as one animated picture: all of them side by side on a strip, which CSS moves by whole screens.
 * Rows that occur again are drawn once.
 */
const CELL = { width: 8.4, height: 18 };
const ESCAPE = '\u001b';
const SGR = new RegExp(`(${ESCAPE}\\[[0-9;]*m)`);
/** What is drawn as one: words with single blanks between, blanks, or a character that fonts may lack. */
const WORDS = /[\x21-\x7e]+(?: [\x21-\x7e]+)*| +|[^\x20-\x7e]/gu;
const MARGIN = 14;
const BAR = 30;

const PALETTE = ['#484f58', '#ff7b72', '#3fb950', '#d29922', '#58a6ff', '#bc8cff', '#39c5cf', '#b1bac4'];
const BRIGHT = ['#8b949e', '#ffa198', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#ffffff'];
const FOREGROUND = '#c9d1d9';
const BACKGROUND = '#0d1117';

/** `frames`: `{ screen, cursor: { column, row } | undefined, durationMs }`, a screen being what `capture-pane -e` prints. */
export function terminalSvg(frames, { columns, rows, title, still }) {
  const width = round(columns * CELL.width + 2 * MARGIN);
  const height = rows * CELL.height + 2 * MARGIN + BAR;
  const known = new Map();
  const idOf = (drawn) => {
    if (!known.has(drawn)) known.set(drawn, `r${known.size}`);
    return known.get(drawn);
  };
  const strip = frames.map(({ screen, cursor }, index) => {
    const used = drawRows(screen).flatMap((drawn, row) =>
      drawn === '' ? [] : [`<use href="#${idOf(drawn)}" y="${row * CELL.height}"/>`],
    );
    if (cursor !== undefined) {
      const [x, y] = [round(cursor.column * CELL.width), cursor.row * CELL.height];
      used.push(`<rect class="c" x="${x}" y="${y + 2}" width="${CELL.width}" height="${CELL.height - 3}"/>`);
    }
    return `<g transform="translate(${index * width})">${used.join('')}</g>`;
  });
  const rowsOnce = [...known].map(([drawn, id]) => `<g id="${id}">${drawn}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">
<title>${escapeXml(title)}</title>
<style>
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:${FOREGROUND};white-space:pre}
.b{font-weight:bold}.d{opacity:.65}.c{fill:${FOREGROUND};opacity:.7}
.s{transform:translateX(${-still * width}px);animation:s ${total(frames)}ms step-end infinite}
@media (prefers-reduced-motion:reduce){.s{animation:none}}
@keyframes s{${keyframes(frames, width)}}
</style>
<defs><clipPath id="p"><rect width="${width}" height="${rows * CELL.height + MARGIN}"/></clipPath>
${rowsOnce.join('\n')}
</defs>
<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/><circle cx="40" cy="18" r="6" fill="#febc2e"/><circle cx="60" cy="18" r="6" fill="#28c840"/>
<g transform="translate(0 ${BAR + MARGIN / 2})" clip-path="url(#p)"><g transform="translate(${MARGIN})"><g class="s">
${strip.join('\n')}
</g></g></g>
</svg>
`;
}

function total(frames) {
  return frames.reduce((sum, { durationMs }) => sum + durationMs, 0);
}

function keyframes(frames, width) {
  const all = total(frames);
  let atMs = 0;
  return frames
    .map(({ durationMs }, index) => {
      const percent = ((atMs * 100) / all).toFixed(3).replace(/\.?0+$/, '');
      atMs += durationMs;
      return `${percent}%{transform:translateX(${round(-index * width)}px)}`;
    })
    .join('');
}

/** Each row as SVG, empty where nothing is drawn. Attributes go on from one row to the next. */
function drawRows(screen) {
  let style = {};
  return screen.split('\n').map((line) => {
    const runs = [];
    let column = 0;
    for (const part of line.split(SGR)) {
      if (part.startsWith(ESCAPE)) style = styled(style, part.slice(2, -1));
      else {
        for (const text of part.match(WORDS) ?? []) {
          runs.push(drawRun(text, column, style));
          column += text.length;
        }
      }
    }
    return runs.join('');
  });
}

function drawRun(text, column, { color, bold, dim, inverse }) {
  const x = round(column * CELL.width);
  const columns = [...text].length;
  const box = inverse
    ? `<rect x="${x}" width="${round(columns * CELL.width + 0.5)}" height="${CELL.height}" fill="${color ?? FOREGROUND}"/>`
    : '';
  if (text.trim() === '') return box;
  const fill = inverse ? BACKGROUND : color;
  const look = [bold ? 'b' : '', dim ? 'd' : ''].filter(Boolean).join(' ');
  const length = columns > 1 ? ` textLength="${round(columns * CELL.width)}"` : '';
  return `${box}<text x="${x}" y="14"${length}${look && ` class="${look}"`}${fill ? ` style="fill:${fill}"` : ''}>${escapeXml(text)}</text>`;
}

/** SGR, as far as the client and tmux use it. */
function styled(before, codes) {
  let style = before;
  for (const code of codes === '' ? [0] : codes.split(';').map(Number)) {
    if (code === 0) style = {};
    else if (code === 1) style = { ...style, bold: true };
    else if (code === 2) style = { ...style, dim: true };
    else if (code === 7) style = { ...style, inverse: true };
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 27) style = { ...style, inverse: false };
    else if (code >= 30 && code <= 37) style = { ...style, color: PALETTE[code - 30] };
    else if (code >= 90 && code <= 97) style = { ...style, color: BRIGHT[code - 90] };
    else if (code === 39) style = { ...style, color: undefined };
  }
  return style;
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function round(number) {
  return Math.round(number * 10) / 10;
}
