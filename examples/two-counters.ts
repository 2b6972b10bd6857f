// Two clients, each with a global counter of its own: what a script keeps in a variable lives in its realm, and two realms
// never mix, though both are the same program, on the same server, in the same worker.
//
//   npx gearmill run examples/two-counters.ts
import { connect, local } from 'gearmill'

// A worker that runs scripts of any client of its server.
await using worker = await local({ executors: 2, allowScripts: true })

const program = (client: string): string => `
  let counter = 0

  stream('events:${client}')
    .map(() => ++counter)
    .write((n) => ['SET', 'counter:${client}', n])
    .register({ name: 'count-${client}' })
`

for (const client of ['ada', 'alan']) {
  const connection = await connect({ url: worker.config.url, workers: 'remote' })
  console.log(await connection.exec(program(client)))
  // -> { name: 'count-ada' }
  // -> { name: 'count-alan' }
  await connection.close()
}

// Three events for one, one for the other. The clients are gone by now: their triggers and counters are not.
for (const client of ['ada', 'ada', 'alan', 'ada']) await worker.redis.xAdd(`events:${client}`, '*', { by: client })
for (const [client, expected] of Object.entries({ ada: 3, alan: 1 })) {
  const trigger = worker.triggers.get(`count-${client}`)
  while ((await trigger.status()).successes < expected) await new Promise((resolve) => setTimeout(resolve, 20))
  console.log(client, await worker.redis.get(`counter:${client}`))
  // -> ada 3
  // -> alan 1
}
