// Looks at the page as people do: `node page.mjs URL TOKEN DEAD MISSING FOLDER`. DEAD and MISSING are ids of tasks in those
// states; pictures go to FOLDER. Ends with 1 and says why when something is not as it should be.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, token, dead, missing, folder] = process.argv.slice(2);
// Longer than anything takes; only a broken page gets here.
const PATIENCE_MS = 45_000;

const browser = await chromium.launch({
  executablePath: process.env.TEST_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const context = await browser.newContext({ viewport: { width: 1180, height: 960 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors = [];
  page.on("pageerror", error => errors.push(String(error)));
  page.on("console", message => { if (["error", "warning"].includes(message.type())) errors.push(message.text()) });
  const outside = [];
  page.on("request", request => { if (!request.url().startsWith(url) && !request.url().startsWith("data:")) outside.push(request.url()) });

  const text = selector => page.locator(selector).innerText();
  const becomes = async (what, holds) => {
    const until = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      assert.ok(Date.now() < until, `waited in vain: ${what}\n${await text("body")}`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  };
  const parts = id => {
    const [, series, symbol, month] = id.match(/^(.*)\/([^/]+)\/([^/]+)$/);
    return { series, symbol, month };
  };
  const cell = label => page.getByRole("gridcell", { name: label, exact: true });

  await page.goto(url);
  await page.evaluate(() => { window.loaded_once = true });

  // Numbers move, and nothing is loaded again for that.
  await becomes("it runs", async () => await text("#note") === "running");
  await becomes("a worker tells its rows", async () => /\d/.test(await text("#workers tr:first-child td:nth-child(7)").catch(() => "")));
  const reading = () => page.locator("#workers td:nth-child(5)").allInnerTexts();
  const before = { done: await text("#done"), read: (await reading()).join() };
  await becomes("bytes done move", async () => await text("#done") !== before.done);
  await becomes("bytes read move", async () => (await reading()).join() !== before.read);
  for (const id of ["#left", "#rate", "#eta", "#finished"]) assert.match(await text(id), /\d|unknown/, id);
  assert.equal(await text("#dead-count"), "1");
  assert.match(await text("#workers"), /desk-/);
  assert.match(await text("#workers tr:first-child td:nth-child(8)"), /^\d+ (s|min)$/, "the age of a lease");
  assert.match(await text("#datasets"), /aggTrades/);

  // The map: all series, then the symbols of one, with the dead task's reason at the pointer and at the focus.
  const { series, symbol, month } = parts(dead);
  await page.getByRole("button", { name: series, exact: true }).first().click();
  const broken = cell(`${symbol} ${month}: dead, corrupt`);
  await broken.waitFor();
  const gone = parts(missing);
  await cell(`${gone.symbol} ${gone.month}: missing`).waitFor();
  await broken.hover();
  await becomes("the reason with its message", async () => /corrupt: .{10}/.test(await text("#tip").catch(() => "")));
  await page.locator("h1").hover();
  await becomes("the tip goes", async () => !(await page.locator("#tip").isVisible()));
  await broken.focus();
  await becomes("the tip comes by keyboard", async () => (await text("#tip").catch(() => "")).includes("corrupt"));
  await page.keyboard.press("ArrowLeft");
  const beside = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.equal(beside, `${symbol} 2024-04: no task`);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await becomes("what to run", async () => (await text("#detail").catch(() => "")).includes(`tapemill tasks retry ${dead} --queue sqlite:`));
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#map td[tabindex='0']").count(), 1, "one way into the map by Tab");

  // What failed, and what to do.
  assert.match(await text("#failures"), new RegExp(`${dead}\\s+dead\\s+corrupt: .+tapemill tasks retry ${dead} --queue`, "s"));
  assert.match(await text("#dead"), new RegExp(`tapemill tasks retry ${dead} --queue`));

  // Names, roles and headings; order by Tab.
  const faults = await page.evaluate(() => {
    const faults = [];
    const headings = [...document.querySelectorAll("h1, h2, h3")].map(heading => Number(heading.tagName[1]));
    if (headings[0] !== 1 || headings.filter(level => level === 1).length !== 1) faults.push("one h1, first: " + headings);
    headings.forEach((level, at) => { if (at && level > headings[at - 1] + 1) faults.push("a heading is skipped: " + headings) });
    const name_of = element => element.getAttribute("aria-label") || element.textContent.trim() || [...element.labels ?? []].map(label => label.textContent.trim()).join();
    for (const element of document.querySelectorAll("button, input, select, a, [role]")) if (!name_of(element) && !element.hidden && element.id !== "tip" && !element.matches("[role=status], [role=alert]")) faults.push("no name: " + element.outerHTML.slice(0, 80));
    for (const section of document.querySelectorAll("section")) if (!document.getElementById(section.getAttribute("aria-labelledby"))) faults.push("a section without its heading");
    for (const table of document.querySelectorAll("table")) if (!table.caption && !table.getAttribute("aria-label")) faults.push("a table without a name");
    for (const head of document.querySelectorAll("th")) if (!head.scope) faults.push("a header without scope: " + head.textContent);
    if (document.documentElement.lang !== "en") faults.push("no language");
    if (document.querySelectorAll("main").length !== 1) faults.push("no main");
    if (document.getElementById("spoken").getAttribute("aria-live") !== "polite") faults.push("totals are not told");
    const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
    if (new Set(ids).size !== ids.length) faults.push("an id is there twice");
    return faults;
  });
  assert.deepEqual(faults, []);
  await page.locator(".skip").focus();
  assert.ok(await page.locator(".skip").isVisible(), "the way past the head shows when it has the focus");
  const order = [];
  for (let press = 0; press < 60; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement, style = getComputedStyle(element);
      const section = element.closest("section")?.getAttribute("aria-labelledby") ?? element.tagName;
      return { section, outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0, tag: element.tagName, html: element.outerHTML.slice(0, 60) };
    });
    if (at.tag === "BODY") break;
    assert.ok(at.outlined, "focus shows: " + at.html);
    if (order.at(-1) !== at.section) order.push(at.section);
  }
  assert.deepEqual(order.filter(section => section.startsWith("h-")), ["h-progress", "h-workers", "h-map", "h-dead", "h-failures", "h-admin"]);

  // Pictures; nothing is wider than a telephone.
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0) });
  await page.getByRole("button", { name: "all series" }).click();
  await page.getByRole("button", { name: series, exact: true }).first().waitFor();
  await page.getByRole("button", { name: series, exact: true }).first().click();
  await broken.waitFor();
  for (const scheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.mouse.move(2, 2);
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(ground, scheme === "dark" ? "rgb(20, 23, 26)" : "rgb(255, 255, 255)");
    await broken.hover();
    await becomes("the tip with its message", async () => /corrupt: .{10}/.test(await text("#tip").catch(() => "")));
    await page.screenshot({ path: `${folder}/status-${scheme}.png`, clip: { x: 0, y: 0, width: 1180, height: 960 } });
  }
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => {
    const stands_out = element => element.getBoundingClientRect().right > innerWidth && !element.closest(".scroll, .spoken, #tip");
    const wide = [...document.querySelectorAll("body *")].filter(stands_out).map(element => element.outerHTML.slice(0, 80));
    return document.documentElement.scrollWidth > innerWidth ? ["scrolls to " + document.documentElement.scrollWidth, ...wide] : wide;
  });
  assert.deepEqual(wide, [], "nothing is wider than a telephone");
  await page.setViewportSize({ width: 1180, height: 960 });

  // Nothing changes without the token.
  const state = async () => {
    const answer = await context.request.get(`${url}api/v1/tasks?prefix=${encodeURIComponent(dead)}`);
    return (await answer.json()).tasks[0].state;
  };
  const retry = page.locator("#dead").getByRole("button", { name: `Retry ${dead}`, exact: true });
  await retry.click();
  await becomes("it asks for the token", async () => (await text("#told")).includes("type the admin token first"));
  assert.equal(await page.evaluate(() => document.activeElement.id), "token");
  const refused = await page.evaluate(async id => {
    const body = JSON.stringify({ ids: [id] });
    return (await fetch("api/v1/tasks/retry", { method: "POST", headers: { "Content-Type": "application/json" }, body })).status;
  }, dead);
  assert.equal(refused, 401);
  const use = async typed => {
    await page.getByLabel("Admin token").fill(typed);
    await page.getByRole("button", { name: "Use", exact: true }).click();
  };
  await use(token + "x");
  await retry.click();
  await becomes("a wrong token is refused", async () => await text("#told") === "Not retried: this is not the admin token");
  assert.equal(await state(), "dead");

  // With it the queue is paused, so that nobody claims the task, and the task is pending again.
  await use(token);
  await page.getByRole("button", { name: "Pause the queue" }).click();
  await page.locator("#paused").waitFor();
  await retry.click();
  await becomes("it is retried", async () => await text("#told") === `${dead} is pending again`);
  assert.equal(await state(), "pending");
  await cell(`${symbol} ${month}: pending`).waitFor();
  await becomes("no task is dead", async () => await text("#dead-count") === "0" && await page.locator("#no-dead").isVisible());
  await page.getByRole("button", { name: "Resume the queue" }).click();
  await becomes("it goes on", async () => !(await page.locator("#paused").isVisible()));

  assert.ok(await page.evaluate(() => window.loaded_once), "the page was never loaded again");
  assert.ok(!(await page.content()).includes(token), "the token is nowhere in the page");
  assert.deepEqual(outside, [], "nothing is asked of elsewhere");
  const unexpected = errors.filter(error => !error.includes("status of 401"));
  assert.deepEqual(unexpected, [], "errors on the console");
  assert.equal(errors.length, 2, "each refusal, and nothing else");
} finally {
  await browser.close();
}
