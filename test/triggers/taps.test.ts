// One tap for all key triggers: what each of them sees while others come and go, and why keys went.
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type KeyEvent, type Mill, type Trigger } from '../../src/index.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { describeTopologies, flush, raw, until } from '../fixtures/servers.ts'

const logger = { debug() {}, info() {}, warn() {}, error() {} }
const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const connected = async (url: string): Promise<Mill> => {
  const mill = await connect(url, { executors: 1, logger })
  open.push(mill)
  return mill
}

/** Counts each value that was set, in a hash of the trigger's name. */
function counting(mill: Mill, name: string, pattern: string): Promise<Trigger> {
  return mill
    .keyEvents(pattern, { events: ['set'] })
    .write((event) => ['HINCRBY', name, `${event.key} ${event.value as string}`, 1])
    .register({ name, batch: 200 })
}

/** Puts what happened to the end of the list `seen`. */
function listing(mill: Mill, pattern: string, options: Parameters<Mill['keyEvents']>[1] = {}): Promise<Trigger> {
  return mill
    .keyEvents(pattern, options)
    .write((event) => ['RPUSH', 'seen', JSON.stringify(event)])
    .register({ name: 'listing' })
}

async function listed(mill: Mill, count: number): Promise<KeyEvent[]> {
  await until(async () => (await mill.redis.lLen('seen')) >= count)
  return (await mill.redis.lRange('seen', 0, -1)).map((text) => JSON.parse(text) as KeyEvent)
}

describeTopologies('key triggers', (topology) => {
  it('lose nothing while others come and go', async () => {
    const mill = await connected(await topology.url())
    const stays = await counting(mill, 'stays', 'k:*')
    let changing = true
    let written = 0
    const write = async (which: number): Promise<void> => {
      for (let n = 0; changing; n++) {
        await mill.redis.set(`k:${which}`, `${which}.${n}`)
        written += 1
      }
    }
    const writers = Promise.all([0, 1, 2].map(write))
    for (let round = 0; round < 3; round++) {
      const guests = await Promise.all(['a', 'b'].map((name) => counting(mill, name, 'k:[01]')))
      const [before] = [written]
      await until(() => written > before + 20)
      await Promise.all(guests.map((guest) => guest.remove()))
    }
    changing = false
    await writers
    await until(async () => (await stays.status()).successes >= written)
    const seen = await mill.redis.hGetAll('stays')
    expect(Object.keys(seen)).toHaveLength(written)
    expect(new Set(Object.values(seen))).toEqual(new Set(['1']))
  })

  it('see what is written after register(), and nothing from before', async () => {
    const mill = await connected(await topology.url())
    await counting(mill, 'first', 'k')
    await mill.redis.set('k', 'before')
    const second = await counting(mill, 'second', 'k')
    await mill.redis.set('k', 'after')
    await until(async () => (await second.status()).successes > 0)
    expect(await mill.redis.hGetAll('second')).toEqual({ 'k after': '1' })
    // Another pattern under the same name takes over.
    await counting(mill, 'second', 'j')
    await mill.redis.set('k', 'not any more')
    await mill.redis.set('j', 'now')
    await until(async () => (await second.status()).successes > 1)
    expect(await mill.redis.hGetAll('second')).toEqual({ 'k after': '1', 'j now': '1' })
  })
})

/** A server on which keys expire when somebody looks at them. */
async function startLazyServer(): Promise<PrivateServer> {
  const server = await startServer({ config: { 'enable-debug-command': 'yes' } })
  await raw(server, 'DEBUG', 'SET-ACTIVE-EXPIRE', '0')
  return server
}

describe('the tap', () => {
  it('is one for all key triggers, and goes with the last of them', async () => {
    await using server = await startServer()
    const mill = await connected(server.url)
    const triggers = await Promise.all(['a', 'b', 'c'].map((name) => counting(mill, name, `${name}*`)))
    const replicas = async (): Promise<string> =>
      /connected_slaves:(\d+)/.exec(String(await raw(server, 'INFO', 'replication')))?.[1] ?? ''
    expect(await replicas()).toBe('1')
    await Promise.all(triggers.map((trigger) => trigger.remove()))
    await until(async () => (await replicas()) === '0')
    expect(await mill.redis.exists(['gm:{gm0}:triggers:taps', 'gm:{gm0}:trigger:a:at'])).toBe(0)
    await mill.close()
  })

  it('goes on where it was when its process is killed', async () => {
    await using server = await startServer()
    const mill = await connected(server.url)
    const trigger = await counting(mill, 'counts', 'k:*')
    for (let n = 0; n < 300; n++) {
      await mill.redis.set(`k:${n % 7}`, String(n))
      if (n % 100 === 50) for (const pid of mill.executors.pids) process.kill(pid, 'SIGKILL')
    }
    await until(async () => (await trigger.status()).successes >= 300)
    const seen = await mill.redis.hGetAll('counts')
    expect(Object.keys(seen)).toHaveLength(300)
    expect(new Set(Object.values(seen))).toEqual(new Set(['1']))
    await mill.close()
  })

  it('tells deletions, expirations and evictions apart', async () => {
    await using server = await startLazyServer()
    const mill = await connected(server.url)
    // Its time to live was set before anybody looked.
    await mill.redis.set('k:expires', 'x', { PX: 1 })
    await listing(mill, 'k:*', { events: ['del', 'expired', 'evicted'] })
    await mill.redis.set('k:deleted', 'x', { PX: 100_000 })
    await mill.redis.del('k:deleted')
    await until(async () => (await mill.redis.get('k:expires')) === null)
    const early = (await listed(mill, 2)).map(({ event, key, cause }) => [event, key, cause])
    expect(early).toEqual([
      ['del', 'k:deleted', undefined],
      ['expired', 'k:expires', undefined],
    ])
    await mill.redis.set('k:evicted', 'x'.repeat(100_000), { EX: 100_000 })
    await raw(server, 'CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl')
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '1')
    // Nothing is written while there is no memory.
    await until(async () => (await raw(server, 'EXISTS', 'k:evicted')) === 0)
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '0')
    const [, , evicted] = await listed(mill, 3)
    expect(evicted).toMatchObject({ event: 'evicted', key: 'k:evicted' })
    await mill.close()
  })

  it('says that it does not know why a key went where the server does not tell', async () => {
    await using server = await startLazyServer()
    await raw(server, 'ACL', 'SETUSER', 'weak', 'on', '>pw', '~*', '&*', '+@all', '-config')
    const mill = await connected(server.url.replace('redis://', 'redis://weak:pw@'))
    await mill.redis.set('k:old', 'x', { PX: 1 })
    await listing(mill, 'k:*', { events: ['expired'] })
    await mill.redis.set('k:new', 'x', { PX: 50 })
    await until(async () => (await mill.redis.get('k:new')) === null)
    await until(async () => (await mill.redis.get('k:old')) === null)
    const events = (await listed(mill, 2)).map(({ event, key, cause }) => [event, key, cause])
    expect(events).toEqual([
      ['expired', 'k:new', undefined],
      ['del', 'k:old', 'unknown'],
    ])
    await mill.close()
  })

  it('is protected from a function that writes what it listens to', async () => {
    await using server = await startServer()
    const mill = await connected(server.url)
    const trigger = await mill
      .keyEvents('n:*', { events: ['incrby'] })
      .forEach(async ({ key }) => {
        await mill.redis.incr(key)
      })
      .register({ name: 'loops' })
    // One that leaves its own writes alone goes on, though most of its events are its own.
    const guarded = await mill
      .keyEvents('g:*', { events: ['set'] })
      .forEach(async ({ key }) => {
        if (key.endsWith(':copy')) return
        await Promise.all(Array.from({ length: 5 }, (_, i) => mill.redis.set(`${key}:${i}:copy`, 'x')))
      })
      .register({ name: 'guarded' })
    await mill.redis.incr('n:1')
    await until(async () => (await trigger.status()).state === 'stopped')
    const { reason } = await trigger.status()
    expect(reason).toMatchObject({ code: 'TRIGGER_LOOP' })
    for (let n = 0; n < 200; n++) await mill.redis.set(`g:${n}`, 'x')
    await until(async () => (await guarded.status()).successes >= 1200)
    expect(await guarded.status()).toMatchObject({ state: 'running', events: 1200 })
    await mill.close()
  })
})
