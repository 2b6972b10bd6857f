// Names that are close to Gearmill's own: of triggers, of fields, of entries.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill, type Trigger } from '../../src/index.ts'
import { describeTopologies, flush, standalone, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const through = (trigger: Trigger, events: number): Promise<void> =>
  until(async () => {
    const { successes, failures } = await trigger.status()
    return successes + failures >= events
  })

describeTopologies('names', (topology) => {
  const start = async (): Promise<Mill> => {
    const mill = await connect(await topology.url(), { executors: 1 })
    open.push(mill)
    return mill
  }

  it('of triggers may be parts of each other', async () => {
    const mill = await start()
    const ends = ['', ':', ':in', ':homes', ':at', ':f', ':n', ':r', ':d', ':l', ':o', '::in', ':in:in']
    const commands = await Promise.all(
      ends.map((end) => mill.command(`x${end}`, (text) => `${text} from x${end}`).register()),
    )
    const answers = await Promise.all(commands.map((command, i) => command.call(String(i))))
    expect(answers).toEqual(ends.map((end, i) => `${i} from x${end}`))
    await commands[0]?.remove()
    expect((await mill.triggers.list()).map(({ name }) => name)).toEqual(
      ends
        .slice(1)
        .map((end) => `x${end}`)
        .toSorted(),
    )
    expect(await commands[2]?.call('still')).toBe('still from x:in')
  })

  it('of fields may be those of the language', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .write(({ value }) => ['RPUSH', 'seen', Object.entries(value).join(' ')])
      .register({ name: 'fields' })
    const names = ['__proto__', 'constructor', 'toString', '']
    await mill.redis.sendCommand(['XADD', 's', '*', ...names.flatMap((name) => [name, 'x'])])
    await through(trigger, 1)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual([names.map((name) => `${name},x`).join(' ')])
  })

  it('of entries may be of 64 bits, where what is processed is removed, too', async () => {
    const mill = await start()
    const seen = await mill
      .stream('s')
      .write(({ id }) => ['RPUSH', 'seen', id])
      .register({ name: 'seen', retain: 'processed' })
    const last = '18446744073709551615'
    const ids = ['0-9007199254740993', '0-1234567890123456999', `5-${last}`, `${last}-5`, `${last}-${last}`]
    for (const id of ids) await mill.redis.sendCommand(['XADD', 's', id, 'a', 'b'])
    await through(seen, ids.length)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(ids)
    // No id comes after the last one: that entry stays.
    await until(async () => (await mill.redis.xLen('s')) === 1)
    expect(await seen.status()).toMatchObject({ lag: { entries: 0 }, lastError: undefined })
  })
})

it('says what a key event was that became a dead letter', async () => {
  const mill = await connect((await standalone()).url, { executors: 1 })
  open.push(mill)
  const trigger = await mill
    .keyEvents('k')
    .forEach(() => {
      throw new RangeError('no')
    })
    .register({ name: 'letters', onFailure: { retries: 0 } })
  await mill.redis.set('k', 'v')
  await through(trigger, 1)
  const [letter] = await trigger.deadLetters()
  expect(Object.fromEntries(letter?.entry ?? [])).toMatchObject({
    ...{ key: 'k', event: 'set', type: 'string', db: '0', change: 'SET k v', value: 'v' },
  })
})
