// npm packages in shipped functions: they go by name and version, and each executor imports its own copy.
//
//   npx gearmill run examples/packages.ts
import { basename } from 'node:path'
import { local, onWorker } from 'gearmill'
import { z } from 'zod'

await using mill = await local()

const lines = ['{"path":"/img/cat.png","bytes":"2048"}', '{"path":"/img/dog.png","bytes":"many"}', 'not JSON at all']

const { results, errors } = await mill
  .from(lines)
  // A schema holds parts of zod's inside, so it cannot travel: each executor makes one.
  .with({ schema: onWorker(() => z.object({ path: z.string(), bytes: z.coerce.number() })) })
  .map((line, { schema }) => schema.parse(JSON.parse(line)))
  .map(({ path, bytes }) => `${basename(path)}: ${bytes} bytes`)
  .run({ onError: 'skip' })

for (const line of results) console.log(line) // -> cat.png: 2048 bytes
for (const { place, cause } of errors) console.log(`${place}: ${(cause as Error).name}`)
// -> item 1 of split 0: ZodError
// -> item 2 of split 0: SyntaxError
