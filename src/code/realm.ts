// What captures of one realm know of each other: names for the objects and variables that all of its code shares.
//
// V8 shows each function a copy of its scopes, so whether two functions share a variable is found as within one capture
// (shared-variables.ts), with one function kept for each scope whose variables are looked at again at the next capture.
// Only variables that some function assigns are shared: others cannot change where the code runs.
import { randomBytes } from 'node:crypto'
import type { AnyNode } from 'acorn'
import type { Variables } from './inspector.ts'
import type { Entry } from './script.ts'
import { isIn, sameValues, type Captured } from './shared-variables.ts'
import { assignedInside } from './syntax.ts'
import type { Slot } from './wire.ts'

/** A captured function. */
interface User {
  readonly value: object
  readonly captured: ReadonlyMap<string, Captured>
  readonly entry: Pick<Entry, 'node' | 'maker' | 'isRepeated'>
}

/** One scope: the variables of one run of a function, or of a module. */
interface KnownScope {
  /** Names of its variables in the realm. */
  readonly names: Map<string, string>
  /** A function that sees it, and a variable by which it is found among the scopes of that function. */
  readonly witness: { readonly value: object; readonly variable: string }
  /** By the syntax they come from: the function that was seen first. */
  readonly users: Map<AnyNode, object>
}

type Inspect = (value: object) => readonly Variables[]

export class CaptureRealm {
  // Names are of this process: what another one captures is not the same.
  readonly #token = randomBytes(6).toString('hex')
  readonly #objects = new WeakMap<object, string>()
  readonly #scopes = new Map<AnyNode, KnownScope[]>()
  #count = 0

  #newName(): string {
    return `${this.#token}.${this.#count++}`
  }

  nameOf(value: object): string {
    let name = this.#objects.get(value)
    if (name === undefined) this.#objects.set(value, (name = this.#newName()))
    return name
  }

  /** Which captured names are variables of the realm: captured name -> index in `cells`; `named` gets index and name of each. */
  cells(
    users: readonly User[],
    inspect: Inspect,
    cells: Slot[],
    named: (readonly [number, string])[],
  ): ReadonlyMap<Captured, number> {
    const indexes = new Map<string, number>()
    const result = new Map<Captured, number>()
    for (const user of users) {
      for (const [variable, captured] of user.captured) {
        const { declaredBy } = captured
        if (captured.scope === undefined || declaredBy === undefined) continue
        if (!assignedInside(declaredBy).has(variable)) continue
        const { names } = this.#scopeOf(user, variable, captured, captured.scope, declaredBy, inspect)
        let name = names.get(variable)
        if (name === undefined) names.set(variable, (name = this.#newName()))
        let index = indexes.get(name)
        if (index === undefined) {
          index = cells.push(captured.slot) - 1
          indexes.set(name, index)
          named.push([index, name])
        }
        result.set(captured, index)
      }
    }
    return result
  }

  #scopeOf(
    user: User,
    variable: string,
    { isModuleLevel }: Captured,
    scope: Variables,
    declaredBy: AnyNode,
    inspect: Inspect,
  ): KnownScope {
    const { value, entry } = user
    const known = this.#scopes.get(declaredBy) ?? []
    this.#scopes.set(declaredBy, known)
    const isMadeOnce = !entry.isRepeated && isIn(declaredBy, entry.maker)
    const found = known.find((each) => {
      const other = each.users.get(entry.node)
      if (isModuleLevel || other === value) return true
      // One run of a function makes each function in it once, outside of loops.
      if (isMadeOnce && other !== undefined) return false
      const now = inspect(each.witness.value).find((one) => Object.hasOwn(one, each.witness.variable))
      return now !== undefined && sameValues(now, scope)
    })
    if (found !== undefined) {
      if (!found.users.has(entry.node)) found.users.set(entry.node, value)
      return found
    }
    const made: KnownScope = {
      names: new Map(),
      witness: { value, variable },
      users: new Map([[entry.node, value]]),
    }
    known.push(made)
    return made
  }
}
