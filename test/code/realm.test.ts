// Code of one realm, captured at different times: what it shares where it is loaded, and what it does not.
import { describe, expect, it } from 'vitest'
import { captureCode } from '../../src/code/capture.ts'
import { loadCode, RealmState } from '../../src/code/load.ts'
import { CaptureRealm } from '../../src/code/realm.ts'

/** A realm with the process that its code is loaded in. */
class Place {
  readonly realm = new CaptureRealm()
  state = new RealmState()

  async ship<F>(f: F): Promise<F> {
    const { bytes } = captureCode([{ value: f, label: 'here' }], { realm: this.realm })
    const [loaded] = await loadCode(bytes, { known: new Map(), base: import.meta.url, realm: this.state })
    return loaded as F
  }
}

let moduleCount = 0
const bump = (): number => ++moduleCount
const modulePlaces = new Map<string, number>()

class Account {
  balance = 0
  add(n: number): this {
    this.balance += n
    return this
  }
}

describe('what code of one realm shares', () => {
  it('variables that functions assign, however often and by whichever function they are shipped', async () => {
    const place = new Place()
    let count = 0
    const step = (): number => ++count
    const first = await place.ship(step)
    expect([first(), first()]).toEqual([1, 2])
    const again = await place.ship(step)
    expect(again()).toBe(3)
    const other = await place.ship(() => (count += 10))
    expect(other()).toBe(13)
    const reader = await place.ship(() => count)
    expect(reader()).toBe(13)
    expect(count).toBe(0)
  })

  it('variables of modules, also through functions that other functions call', async () => {
    const place = new Place()
    const first = await place.ship(() => bump() + 100)
    const second = await place.ship(() => [bump(), moduleCount])
    expect(first()).toBe(101)
    expect(second()).toEqual([2, 2])
    expect(moduleCount).toBe(0)
  })

  it('objects, by identity, as they are where they were loaded', async () => {
    const place = new Place()
    const seen = new Set(['a'])
    const account = new Account()
    const add = await place.ship((key: string) => {
      modulePlaces.set(key, modulePlaces.size)
      seen.add(key)
      return account.add(1)
    })
    const made = add('b')
    seen.add('only here')
    const look = await place.ship(() => ({ account, isAccount: account instanceof Account, seen, modulePlaces }))
    const found = look()
    expect(found.account).toBe(made)
    expect(found).toMatchObject({ account: { balance: 1 }, isAccount: true })
    expect([...found.seen]).toEqual(['a', 'b'])
    expect([...found.modulePlaces]).toEqual([['b', 0]])
    expect(modulePlaces.size).toBe(0)
  })

  it('functions that carry state, and what they made with their prototype', async () => {
    const place = new Place()
    const counted: { (): number; calls: number } = Object.assign(() => (counted.calls += 1), { calls: 0 })
    expect((await place.ship(() => counted()))()).toBe(1)
    expect((await place.ship(() => counted()))()).toBe(2)
  })

  it('what was there first: a variable that only the script assigns is as it is when it is shipped', async () => {
    const place = new Place()
    let factor = 2
    const times = (n: number): number => n * factor
    expect((await place.ship(times))(10)).toBe(20)
    factor = 3
    expect((await place.ship(times))(10)).toBe(30)
    expect((await place.ship((n: number) => n + factor))(10)).toBe(13)
  })
})

describe('what stays apart', () => {
  it('two realms, and two processes of one realm', async () => {
    const [a, b] = [new Place(), new Place()]
    let counter = 0
    const step = (): number => ++counter
    expect((await a.ship(step))()).toBe(1)
    expect((await b.ship(step))()).toBe(1)
    expect((await a.ship(step))()).toBe(2)
    a.state = new RealmState()
    expect((await a.ship(step))()).toBe(1)
  })

  it('captures without a realm', async () => {
    let counter = 0
    const step = (): number => ++counter
    const ship = async (): Promise<() => number> => {
      const { bytes } = captureCode([{ value: step, label: 'here' }])
      return (await loadCode(bytes, { known: new Map(), base: import.meta.url }))[0] as () => number
    }
    expect((await ship())()).toBe(1)
    expect((await ship())()).toBe(1)
  })

  it('variables of two runs of one function, with equal values too', async () => {
    const place = new Place()
    const counter = (): (() => number) => {
      let n = 0
      return () => ++n
    }
    const [one, two] = [counter(), counter()]
    expect((await place.ship(one))()).toBe(1)
    expect((await place.ship(two))()).toBe(1)
    expect((await place.ship(one))()).toBe(2)
    expect((await place.ship(() => [one(), two()]))()).toEqual([3, 2])
  })

  it('what a loop captures anew', async () => {
    const place = new Place()
    let total = 0
    const results: number[] = []
    for (let i = 1; i <= 3; i++) results.push((await place.ship(() => (total += i)))())
    expect(results).toEqual([1, 3, 6])
  })

  it('arguments: roots of a capture that no function refers to', async () => {
    const place = new Place()
    const options = { n: 1 }
    const load = async (): Promise<{ n: number }> => {
      const { bytes } = captureCode([{ value: options, label: 'here' }], { realm: place.realm })
      const [loaded] = await loadCode(bytes, { known: new Map(), base: import.meta.url, realm: place.state })
      return loaded as { n: number }
    }
    ;(await load()).n = 5
    options.n = 2
    expect(await load()).toEqual({ n: 2 })
  })
})

it('gives the same code the same hash', () => {
  const realm = new CaptureRealm()
  let n = 0
  const f = (): number => ++n
  const capture = (): string => captureCode([{ value: f, label: 'here' }], { realm }).hash
  expect(capture()).toBe(capture())
})

it('leaves a realm as it was where code cannot be loaded', async () => {
  const place = new Place()
  const state = { n: 1 }
  const missing = { call: (): number => state.n }
  const { bytes } = captureCode([{ value: () => [state, missing], label: 'here' }], {
    realm: place.realm,
    known: new Map([[missing, 'missing']]),
  })
  const loading = loadCode(bytes, { known: new Map(), base: import.meta.url, realm: place.state })
  await expect(loading).rejects.toMatchObject({ code: 'CAPTURE_LOAD' })
  expect(place.state.objects.size).toBe(0)
  expect((await place.ship(() => state))()).toEqual({ n: 1 })
})
