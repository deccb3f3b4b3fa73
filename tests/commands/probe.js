// Put into a page by a test, before its policy forbids scripts: says what the browser made of it.
const violations = [];
addEventListener('securitypolicyviolation', event => violations.push(`${event.violatedDirective} ${event.blockedURI}`));

const luminance = colour => {
  const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map(value => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

const ground = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!colour.endsWith(', 0)')) return colour;
  }
  return 'rgb(255, 255, 255)';
};

const contrast = element => {
  const [one, other] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
};

const hasText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());

addEventListener('load', () => {
  const text = document.body.innerText;
  const title = document.title;
  document.querySelectorAll('details').forEach(details => { details.open = true; });
  const bars = [...document.querySelectorAll('.track > .bar')].map(bar => {
    const [inner, outer] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
    const line = bar.closest('.line').querySelector('.name').innerText.trim();
    return {
      line,
      class: bar.className,
      left: (inner.left - outer.left) / outer.width * 100,
      width: inner.width / outer.width * 100,
      image: getComputedStyle(bar).backgroundImage,
    };
  });
  const texts = [...document.querySelectorAll('body *')].filter(hasText);
  const faint = texts.filter(element => contrast(element) < 4.5).map(element => element.outerHTML);
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const loaded = performance.getEntriesByType('resource').map(entry => entry.name);
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const said = document.createElement('pre');
  said.id = 'measured';
  said.textContent = JSON.stringify({ title, text, bars, faint, dark, loaded, violations, wide });
  document.body.append(said);
});
