// A page a line in, as a JSON string; what is wrong with it a line out, as a JSON list.
import { createInterface } from "node:readline";
import { HtmlValidate, StaticConfigLoader } from "html-validate";

const config = { extends: ["html-validate:standard"], elements: ["html5"] };
const validator = new HtmlValidate(new StaticConfigLoader(config));
for await (const line of createInterface({ input: process.stdin })) {
  const { results } = await validator.validateString(JSON.parse(line), "page.html");
  const wrong = results.flatMap((each) => each.messages.map((one) => `${one.ruleId}, line ${one.line}: ${one.message}`));
  process.stdout.write(`${JSON.stringify(wrong)}\n`);
}
