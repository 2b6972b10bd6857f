import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GearmillError } from '../../src/errors.ts'
import { callString, parseCallString } from '../../src/kernels/call-string.ts'
import type { Value } from '../../src/kernels/step.ts'

const call = (text: string) => parseCallString(text).call

function codeOf(read: () => unknown): string {
  try {
    read()
    return 'read'
  } catch (error) {
    return error instanceof GearmillError ? error.code : String(error)
  }
}

describe('parseCallString', () => {
  it.each([
    ['func1("say hi")', 'func1', ['say hi']],
    ["func1('say hi')", 'func1', ['say hi']],
    ['  func1 ( "a" , 2 )  ', 'func1', ['a', 2]],
    ['f()', 'f', []],
    ['f("a)b(c", "d")', 'f', ['a)b(c', 'd']],
    ['img:resize("@img:1", -3.5e2)', 'img:resize', ['@img:1', -350]],
    ['f(@img:1)', 'f', ['@img:1']],
    ['f("it\'s", \'say "hi"\')', 'f', ["it's", 'say "hi"']],
    [String.raw`f("a\"b\\c\n\t\u00e9\x41\u{1F600}")`, 'f', ['a"b\\c\n\té' + 'A😀']],
    ['f("grüß 👋")', 'f', ['grüß 👋']],
    ['größe("x")', 'größe', ['x']],
    ['f(true, false, null, [1, [2]], {"a": {b: 1}})', 'f', [true, false, null, [1, [2]], { a: { b: 1 } }]],
    ['f(True, False, None, (1, 2))', 'f', [true, false, null, [1, 2]]],
    ['"a name with (brackets)"("x")', 'a name with (brackets)', ['x']],
    ['f("a",)', 'f', ['a']],
    ['SETTLE("x")', 'SETTLE', ['x']],
    ['SET("x")', 'SET', ['x']],
    ['f("x SET [(1, 2)]")', 'f', ['x SET [(1, 2)]']],
  ] satisfies [string, string, Value[]][])('reads %s', (text, name, args) => {
    expect(parseCallString(text)).toEqual({ call: { name, args }, sets: [] })
  })

  it('reads what is to be set', () => {
    expect(parseCallString('f("x") SET [("k", "v"), (\'k2\', 3)]')).toEqual({
      call: { name: 'f', args: ['x'] },
      sets: [
        ['k', 'v'],
        ['k2', '3'],
      ],
    })
    expect(parseCallString('f("x")SET[]').sets).toEqual([])
    expect(parseCallString('f() SET [["a", "b"],]').sets).toEqual([['a', 'b']])
  })

  it('ends the chain with an empty text, also one that sets', () => {
    expect(parseCallString('')).toEqual({ sets: [] })
    expect(parseCallString(' \n')).toEqual({ sets: [] })
    expect(parseCallString('SET [("k", "v")]')).toEqual({ sets: [['k', 'v']] })
  })

  it.each([
    ['hello', /expected a call/],
    ['hello world', /expected a call/],
    ['f(', /expected a value, found its end/],
    ['f("x"', /expected , or \)/],
    ['f("x', /has no end/],
    ['f("x"))', /expected the end, or SET/],
    ['f(say hi)', /say is no value: texts are quoted/],
    ['("x")', /expected the name of a kernel/],
    ['f("x") SET', /expected the end, or SET/],
    ['f("x") SET [("k")]', /a key and a value in a pair, not 1/],
    ['f("x") SET [("k", [1])]', /a text or a number in a pair/],
    ['f("x") SET [("k", "v")', /expected ,/],
    [String.raw`f("\u12")`, /\\uHHHH/],
    [`f(${'['.repeat(1000)}`, /nested more than 200 deep/],
    ['f(1e999)', /no value/],
  ])('refuses %s with its place', (text, message) => {
    expect(() => parseCallString(text)).toThrow(
      expect.objectContaining({ code: 'KERNEL_RESULT', message: expect.stringMatching(message) }),
    )
  })

  const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'), { noNullPrototype: true }),
    ),
  })).value

  it('reads back every call', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.array(value), (name, args) => {
        expect(call(callString(name, args))).toEqual({ name, args })
      }),
    )
  })

  it('reads back every pair that is set, behind every call', () => {
    const pairs = fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })))
    fc.assert(
      fc.property(fc.array(value), pairs, (args, sets) => {
        const list = sets.map(([key, item]) => `(${JSON.stringify(key)}, ${JSON.stringify(item)})`).join(', ')
        expect(parseCallString(`${callString('f', args)} SET [${list}]`)).toEqual({ call: { name: 'f', args }, sets })
      }),
    )
  })

  it('reads or refuses any text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('f', '(', ')', '"', "'", '\\', '[', ']', '{', '}', ',', ' ', 'SET', '@', '1', ':'))
        .map((x) => x.join('')),
    )
    fc.assert(
      fc.property(text, (given) => {
        expect(codeOf(() => parseCallString(given))).toMatch(/^(?:read|KERNEL_RESULT)$/)
      }),
      { numRuns: 500 },
    )
  })
})
