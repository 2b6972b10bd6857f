// Every error that Gearmill throws: one class a family, one stable code a cause, one table of what to do about it.
// docs/errors.md is generated from this table; a test holds that both agree.

/** What a code means, whether trying again can help, and what the reader of the message should do. */
interface CatalogueEntry {
  readonly meaning: string
  readonly hint: string
  readonly retryable?: true
}

export const catalogue = {
  CONFIG_INVALID: {
    meaning: 'An option, an environment variable or gearmill.config.json has a value that is not allowed.',
    hint: 'Compare the value with the documented type and range.',
  },
  CONFIG_FILE: {
    meaning: 'gearmill.config.json could not be read or is not JSON.',
    hint: 'Mend the file, or remove it to run on defaults.',
  },
  CONFIG_TYPESCRIPT: {
    meaning: 'A TypeScript file cannot be run: neither tsx nor type stripping is there.',
    hint: 'Install tsx (`npm install --save-dev tsx`), or use Node 22.18 or newer.',
  },
  CONNECT_REFUSED: {
    meaning: 'No server answers at the address.',
    hint: 'Check the URL and that the server runs; `gearmill doctor --url URL` says what it finds.',
    retryable: true,
  },
  CONNECT_AUTH: {
    meaning: 'The server refused the user or password.',
    hint: 'Put the credentials into the URL: redis://user:password@host:port.',
  },
  CONNECT_VERSION: {
    meaning: 'The server is older than Redis 7.0 or Valkey 7.2.',
    hint: 'Upgrade the server: functions and the stream commands that Gearmill needs are missing.',
  },
  CONNECT_URL: {
    meaning: 'The URL is not one that Gearmill knows.',
    hint: 'Use redis://, rediss://, redis+unix:// or redis+sentinel://.',
  },
  CONNECT_LOST: {
    meaning: 'The connection was lost and did not come back in time.',
    hint: 'Look at the server log; work that was not committed is handed out again when it is back.',
    retryable: true,
  },
  CONNECT_CLOSED: {
    meaning: 'The mill was closed.',
    hint: 'Call connect() or local() again.',
  },
  CONNECT_OOM: {
    meaning: 'The server is out of memory (maxmemory) and refuses writes.',
    hint: 'Raise maxmemory or choose an eviction policy; work waits and goes on when there is room.',
    retryable: true,
  },
  CONNECT_PERMISSION: {
    meaning: 'The ACL of the user does not allow a command that Gearmill needs.',
    hint: 'docs/operations.md lists the commands and key patterns to allow.',
  },
  CONNECT_REPLY: {
    meaning: 'The server answered a command with an error.',
    hint: "The message is the server's own; WRONGTYPE, for one, means that a key holds another type than the command needs.",
  },
  SERVER_NOT_FOUND: {
    meaning: 'Neither valkey-server nor redis-server is on PATH.',
    hint: 'Install one: `sudo apt-get install redis-tools`, `brew install valkey`, or `apk add valkey`.',
  },
  SERVER_START: {
    meaning: 'The private server did not start.',
    hint: 'The message holds the last lines of its log.',
  },
  CAPTURE_UNSUPPORTED: {
    meaning: 'A shipped function captures a value that cannot travel to another process.',
    hint: 'Make it in the executor: .with({ name: onWorker(() => ...) }).',
  },
  CAPTURE_THIS: {
    meaning: 'A shipped function uses `this` or `arguments` of the place where it was written.',
    hint: 'Copy what it needs into a const first.',
  },
  CAPTURE_IMPORT_META: {
    meaning: 'A shipped function uses `import.meta`, `require`, `__dirname` or `__filename`.',
    hint: 'Compute the value outside of the function and capture it.',
  },
  CAPTURE_PRIVATE: {
    meaning: 'A captured object has #private fields, which no other code can read.',
    hint: 'Make it in the executor: .with({ name: onWorker(() => ...) }).',
  },
  CAPTURE_UNKNOWN: {
    meaning: 'A name in a shipped function could not be resolved to a value.',
    hint: 'Declare it where the function can see it; names used only in eval() cannot be found.',
  },
  CAPTURE_SOURCE: {
    meaning: 'The source of a function could not be read or parsed.',
    hint: 'Native and bound-native functions cannot travel; wrap them in an arrow function.',
  },
  CAPTURE_INSPECTOR: {
    meaning: 'node:inspector is not available, so captured variables cannot be read.',
    hint: 'Run Node without the permission model, or allow the inspector.',
  },
  CAPTURE_PACKAGE: {
    meaning: 'A worker does not have a package that a function imports, or has another major version.',
    hint: 'Install the package beside the worker.',
  },
  CAPTURE_SIGNATURE: {
    meaning: 'Code in Redis is not signed with the GEARMILL_SECRET of this worker.',
    hint: 'Set the same GEARMILL_SECRET for clients and workers.',
  },
  CAPTURE_LOAD: {
    meaning: 'Shipped code could not be loaded in an executor.',
    hint: 'The cause holds the error; the Node versions of client and worker may differ.',
  },
  PLAN_OPTION: {
    meaning: 'An operation, reader or action was given an argument that is not allowed.',
    hint: 'The message says what was expected and what came.',
  },
  PLAN_FILE: {
    meaning: 'A file or directory cannot be read or written.',
    hint: 'Check the path and the rights; relative paths are resolved where the pipeline is built.',
  },
  PLAN_NO_MATCH: {
    meaning: 'A glob matched no file.',
    hint: 'Check the pattern; an empty directory is fine, a missing one is not.',
  },
  PLAN_COLUMN: {
    meaning: 'A file has no such column.',
    hint: 'Check the name against the header line, or give the index (from 0).',
  },
  PLAN_CSV: {
    meaning: 'A row of a CSV file is broken.',
    hint: 'The message names file and line; other rows are processed.',
  },
  PLAN_JSON: {
    meaning: 'A line of a JSON Lines file is not JSON.',
    hint: 'The message names file and line; other lines are processed.',
  },
  PLAN_ENCODING: {
    meaning: 'Bytes are not valid in the expected encoding.',
    hint: 'Read with `binary: true`, or name the right encoding.',
  },
  PLAN_RECORD: {
    meaning: 'A record cannot travel to another executor (structured clone does not carry it).',
    hint: 'Map it to plain data before the operation that shuffles.',
  },
  PLAN_SCRIPT: {
    meaning: 'A script cannot be parsed.',
    hint: 'The message names the line and what was found there.',
  },
  PLAN_KEY_TYPE: {
    meaning: 'A key holds another type than the operation needs.',
    hint: 'Choose another key, or read with `{ type }`.',
  },
  EXECUTION_FAILED: {
    meaning: 'Records of an execution failed; the error holds them, their errors and the good results.',
    hint: 'Look at `error.errors`; run({ onError: "skip" }) returns results and errors together.',
  },
  EXECUTION_RECORD: {
    meaning: 'A shipped function threw for a record.',
    hint: 'The cause holds what was thrown; its stack ends with the line that built the pipeline.',
  },
  EXECUTION_EFFECT: {
    meaning: 'A Redis command that a record asked for was refused by the server.',
    hint: 'Mend the key, then replay the dead letter; it holds exactly the commands that were not applied.',
  },
  EXECUTION_EFFECT_REFUSED: {
    meaning: 'A command is not one that an effect may be.',
    hint: 'Effects are write commands with keys; administrative, blocking and dangerous ones are refused.',
  },
  EXECUTION_RESOURCE: {
    meaning: 'What onWorker() should make in an executor could not be made, again and again.',
    hint: 'The message names it and the cause holds what was thrown; it runs on the worker, with what that can reach.',
  },
  EXECUTION_CRASHED: {
    meaning: 'The executor died while it worked on a record or task, again and again.',
    hint: 'The function ended its process or used memory beyond the limit of the machine.',
  },
  EXECUTION_TIMEOUT: {
    meaning: 'A task was not done within its time limit.',
    hint: 'Raise `timeoutMs`, or find what never ends: the error names record and task.',
  },
  EXECUTION_MEMORY: {
    meaning: 'An executor used more memory than its limit, Buffers and WebAssembly included.',
    hint: 'Raise `memoryMb`, or use less in the function that the error names.',
  },
  EXECUTION_SCRIPT: {
    meaning: 'A script threw.',
    hint: 'The message names the line of the script; the stack holds what was thrown.',
  },
  EXECUTION_SCRIPT_REFUSED: {
    meaning: 'No worker of the group runs scripts that are not signed.',
    hint: 'Start workers with --allow-scripts (`allowScripts`), or set GEARMILL_SECRET for them and for whoever submits.',
  },
  EXECUTION_ABORTED: {
    meaning: 'The execution was aborted.',
    hint: 'It was asked for, by abort(), a signal, or `gearmill abort`.',
  },
  EXECUTION_LOST: {
    meaning: 'The server does not know the execution: it expired, was removed, or a restart rolled it back.',
    hint: 'Run it again.',
  },
  EXECUTION_TOPOLOGY: {
    meaning:
      'Slots moved, or a server took the place of another, while a keyspace was read in ranges of its table, and it could not be read anew.',
    hint: 'Run it again when the reshard or the restart is done.',
  },
  EXECUTION_BLOCK_LOST: {
    meaning: 'A block on the data plane is missing or damaged, and making it again did not help.',
    hint: 'Check the memory policy of the server (blocks need noeviction) or the shared directory.',
  },
  EXECUTION_BLOCK_SPACE: {
    meaning: 'There is no room for a block: the disk, or the quota of the user, is full.',
    hint: 'Make room, or put the blocks elsewhere: `blocks: { dir }` in the configuration, or TMPDIR.',
    retryable: true,
  },
  EXECUTION_NO_WORKER: {
    meaning: 'No worker of the group has what a task needs.',
    hint: 'Start `gearmill worker`, or install the missing package beside one.',
  },
  TRIGGER_UNKNOWN: {
    meaning: 'There is no trigger of that name.',
    hint: '`mill.triggers.list()` and `gearmill triggers` show those that there are.',
  },
  TRIGGER_VERSION: {
    meaning: 'A trigger of that name has a higher version.',
    hint: 'Register with a higher version, or remove the trigger first.',
  },
  TRIGGER_KIND: {
    meaning: 'The name belongs to a trigger of another kind.',
    hint: 'Choose another name, or remove that trigger first.',
  },
  TRIGGER_FENCED: {
    meaning: 'Another worker took over the place at which a trigger ran.',
    hint: 'Nothing is lost: what was not committed is processed there.',
    retryable: true,
  },
  TRIGGER_LOOP: {
    meaning: 'The function of a key trigger writes keys through mill.redis that it listens to, again and again.',
    hint: 'Write with write(): a trigger does not see its own effects. Or leave out the events of its own keys. resume() goes on.',
  },
  TRIGGER_CALL: {
    meaning: 'A call failed: the function threw, or its answer did not come in time.',
    hint: 'The message says why; where nothing answered, see that a worker runs.',
  },
  MATRIX_OPTION: {
    meaning: 'An operation on matrices was given an argument that is not allowed.',
    hint: 'The message says what was expected and what came.',
  },
  MATRIX_SHAPE: {
    meaning: 'The shapes of matrices do not fit the operation.',
    hint: 'a.matmul(b) needs as many columns of a as rows of b; other operations repeat single rows and columns only.',
  },
  MATRIX_EMPTY: {
    meaning: 'The smallest, largest or aggregated value of no values was asked for.',
    hint: 'Look at `shape` before; the sum of nothing is 0, and its mean is NaN.',
  },
  MATRIX_RANGE: {
    meaning: 'A matrix has no such row, column or block.',
    hint: 'Rows and columns run from 0; negative ones count from the end.',
  },
  MATRIX_UNKNOWN: {
    meaning: 'No matrix is saved under the name.',
    hint: '`mill.matrix.list()` shows those that there are.',
  },
  MATRIX_CLOSED: {
    meaning: 'A matrix was used after close() or delete(), or after its mill was closed.',
    hint: 'Close a matrix when the last expression that needs it was evaluated, or save() it.',
  },
  MATRIX_STORE: {
    meaning: 'A matrix names a store that the configuration of the client or of a worker does not have.',
    hint: 'Name it in gearmill.config.json, of clients and workers: { "stores": { "name": "redis://..." } }.',
  },
  MATRIX_BLOCK_LOST: {
    meaning: 'A block of a matrix is not in its store: it expired, was evicted or deleted.',
    hint: 'Blocks need the memory policy noeviction; those of unsaved matrices go with their handle or its process.',
  },
  MATRIX_BLOCK_DAMAGED: {
    meaning: 'A block of a matrix, or what is known of a saved one, is not what was stored.',
    hint: 'Something else wrote to the key: delete the matrix and make it again.',
  },
  MATRIX_FUNCTION: {
    meaning: 'A function given to map() or aggregate() threw, or returned what is not a number.',
    hint: 'The cause holds what was thrown; the message names the cell.',
  },
  MATRIX_FORMAT: {
    meaning: 'Bytes are not an array in NPY format, or not one that a matrix or tensor can hold.',
    hint: 'The message says what is wrong; NumPy writes such arrays with numpy.save.',
  },
  MATRIX_FILE: {
    meaning: 'A file of a matrix cannot be read or written, or something in it is not allowed.',
    hint: 'The message names file and line; NPY (.npy), CSV (.csv, .tsv) and Matrix Market (.mtx) files can be read.',
  },
  KERNEL_UNKNOWN: {
    meaning: 'There is no kernel of that name.',
    hint: 'Store it with `mill.kernels.set`, `gearmill kernels push`, or SET its name to its source, and resume the chain.',
  },
  KERNEL_CALL: {
    meaning: 'A chain of kernels cannot be started as it was asked for.',
    hint: "FCALL gm_start 1 '<namespace>:{gm0}' kernel arg ... starts one.",
  },
  KERNEL_CHAIN: {
    meaning: 'There is no such chain, or it is not in a state for what was asked.',
    hint: 'Ended chains are kept for `jobs.keepMs`, failed ones for a day at least; only failed chains can be resumed.',
  },
  KERNEL_ABORTED: {
    meaning: 'A chain was ended by abort().',
    hint: 'It can be resumed, from the steps at which it was.',
  },
  KERNEL_INPUT: {
    meaning: 'An input `@key` of a step cannot be had: the key is missing, too large, or of a type that is no input.',
    hint: 'Write the key and resume the chain; `@@text` is the text `@text`.',
  },
  KERNEL_WRITE: {
    meaning: 'A write of a step was refused.',
    hint: 'The message says why. Writes before it are applied; a resumed chain goes on with the one that was refused.',
  },
  KERNEL_CRASHED: {
    meaning: 'A step ended the process that it ran in.',
    hint: 'Only trusted kernels can: see what it calls, and how much memory that takes.',
  },
  KERNEL_SYNTAX: {
    meaning: 'The source of a kernel is neither JavaScript nor TypeScript whose types can be stripped.',
    hint: 'The message names the line; enums, namespaces and parameter properties are no types and have to be written out.',
  },
  KERNEL_ENTRY: {
    meaning: 'The source of a kernel does not say which function is the kernel.',
    hint: "Give a function the kernel's name, or export one as the default.",
  },
  KERNEL_IMPORT: {
    meaning: 'A kernel imports what there is not, or what it may not import.',
    hint: 'Kernels and library sources are imported by their names in Redis; packages by trusted kernels only.',
  },
  KERNEL_SIGNATURE: {
    meaning: 'A trusted kernel is not signed with the GEARMILL_SECRET of this worker.',
    hint: 'Set the same GEARMILL_SECRET where kernels are stored and where they run, and store it again.',
  },
  KERNEL_ARGUMENT: {
    meaning: 'An argument of a kernel is not what its `params` declare.',
    hint: 'The message says which one, what was expected and what came.',
  },
  KERNEL_THREW: {
    meaning: 'A kernel threw.',
    hint: 'The message names the line in its source; the cause holds what was thrown.',
  },
  KERNEL_RESULT: {
    meaning: 'A kernel returned or asked for something that means nothing.',
    hint: "Return done(value), next('name', ...args), a call string such as 'name(\"text\")', or '' to end the chain.",
  },
  KERNEL_DENIED: {
    meaning: 'A kernel in the sandbox asked for something that it was not granted.',
    hint: 'What a step needs comes in as arguments, a pause is .after(time); trusted kernels may do all that Node can.',
  },
  KERNEL_TIMEOUT: {
    meaning: 'A step was not done within the time limit of its kernel.',
    hint: 'Raise `timeoutMs`, or find what never ends.',
  },
  KERNEL_MEMORY: {
    meaning: 'A step needed more memory than its kernel may use.',
    hint: 'Raise `memoryMb`, or hold less at a time.',
  },
  KERNEL_STACK: {
    meaning: 'A step nested calls or data too deeply.',
    hint: 'Find the recursion that does not end; data may be nested 200 deep.',
  },
  KERNEL_SIZE: {
    meaning: 'What a step gave back is too large to be kept.',
    hint: 'One step may give back 8 MiB: keep larger data under keys, and pass their names.',
  },
  MATRIX_CONVERGENCE: {
    meaning: 'An algorithm on matrices did not come to rest within its iterations.',
    hint: 'Raise `iterations`, or `tolerance`.',
  },
  MATRIX_SINGULAR: {
    meaning: 'Equations have no single solution: columns depend on each other.',
    hint: 'Leave out columns that follow from others, or use `ridge`.',
  },
  MODEL_RUNTIME: {
    meaning: 'A model was to be run where onnxruntime-node is not installed, or cannot be loaded.',
    hint: 'Type `npm install onnxruntime-node` beside each worker that shall run models; `gearmill doctor` shows which have it.',
  },
  MODEL_UNKNOWN: {
    meaning: 'There is no model of that name.',
    hint: '`mill.models.list()` and `gearmill models ls` show those that there are; `mill.models.set(name, bytes)` stores one.',
  },
  MODEL_FORMAT: {
    meaning: 'Bytes are not an ONNX model, or one that onnxruntime does not take.',
    hint: 'The message says what is wrong; the model has to be one file, with its weights inside.',
  },
  MODEL_INPUT: {
    meaning: 'An input of a model is missing, unknown, or has another dtype or shape than the model declares.',
    hint: 'The message says what was expected and what came; `mill.models.get(name)` lists inputs and outputs.',
  },
  MODEL_OUTPUT: {
    meaning: 'A model has no such output, or one that does not belong to single records.',
    hint: 'For predict() the first dimension of each input and output is that of the records.',
  },
  MODEL_RUN: {
    meaning: 'onnxruntime failed while it ran a model.',
    hint: "The message is onnxruntime's own.",
  },
  MODEL_TENSOR: {
    meaning: 'A tensor is not valid: its dtype, its shape, or data that do not fit them.',
    hint: 'The message says what was expected and what came.',
  },
  MODEL_NAME: {
    meaning: 'The name of a model or tensor has characters that names may not have.',
    hint: 'Use 1 to 128 letters, digits and _ . : - /.',
  },
  MODEL_DAMAGED: {
    meaning: 'A part of a stored model or tensor is missing, or is not what was stored.',
    hint: 'Store it again; where the server evicts keys, it needs the policy noeviction.',
  },
  BUFFER_CLOSED: {
    meaning: 'A shared buffer, or a view or cursor on it, was used after close().',
    hint: 'Close it when the last view is done with; get() gives plain objects that outlive it.',
  },
  BUFFER_FILE: {
    meaning: 'The file of a shared buffer cannot be opened, mapped or written.',
    hint: 'The cause says why: check the path, the rights and the free space.',
  },
  BUFFER_FORMAT: {
    meaning: 'A file is not a shared buffer, or not one of the kind that was asked for.',
    hint: 'Open arrays with openArray and maps with openMap; other files have to be built first.',
  },
  BUFFER_VERSION: {
    meaning: 'A shared buffer was written by a newer version of the format.',
    hint: 'Upgrade gearmill in the process that reads.',
  },
  BUFFER_CORRUPT: {
    meaning: 'A shared buffer is truncated or damaged: an offset, a length or a tag in it is not possible.',
    hint: 'Build the file again; verify() checks a whole file against its checksums.',
  },
  BUFFER_CHECKSUM: {
    meaning: 'The header, the directory or a segment of a shared buffer does not have its checksum.',
    hint: 'The file was damaged on its way: copy or build it again.',
  },
  BUFFER_SCHEMA: {
    meaning: 'A schema is not valid, or does not fit the schema in the file.',
    hint: 'Attributes may be added and removed; a type may only change to one that holds every value of the old one.',
  },
  BUFFER_VALUE: {
    meaning: 'A value does not fit its schema.',
    hint: 'The message names the path to the value, what was expected and what came.',
  },
  BUFFER_RANGE: {
    meaning: 'There is no object at that place of a shared buffer.',
    hint: 'Places run from 0 to length - 1; negative ones count from the end.',
  },
  BUFFER_TOO_LARGE: {
    meaning: 'One object, or one part of it, is larger than a segment (1 GiB at most).',
    hint: 'Split the object, or raise segmentBytes if it was lowered.',
  },
  BUFFER_READ_ONLY: {
    meaning: 'Something was written to that cannot be written in place.',
    hint: 'Open with { writable: true }; only numbers, booleans and dates that are present can change in place.',
  },
  BUFFER_OPTION: {
    meaning: 'An option or argument of a shared buffer is not allowed.',
    hint: 'The message says what was expected and what came.',
  },
  BUFFER_PLATFORM: {
    meaning: 'The operating system cannot do what was asked (shared writable maps, file locks).',
    hint: 'On Windows shared buffers are read-only copies in memory; write on Linux or macOS.',
  },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof catalogue
type CodeOf<Family extends string> = Extract<ErrorCode, `${Family}_${string}`>

export interface ErrorOptions {
  readonly cause?: unknown
  /** What to do; the default is the catalogue's. */
  readonly hint?: string
}

/** The base of every error that Gearmill throws. */
export class GearmillError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    const entry: CatalogueEntry = catalogue[code]
    this.code = code
    this.hint = options.hint ?? entry.hint
    this.retryable = entry.retryable === true
    this.name = new.target.name
  }
}

export class ConfigError extends GearmillError {
  declare readonly code: CodeOf<'CONFIG'>
  constructor(code: CodeOf<'CONFIG'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

export class ConnectError extends GearmillError {
  declare readonly code: CodeOf<'CONNECT'>
  constructor(code: CodeOf<'CONNECT'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

export class ServerError extends GearmillError {
  declare readonly code: CodeOf<'SERVER'>
  constructor(code: CodeOf<'SERVER'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

export class CaptureError extends GearmillError {
  declare readonly code: CodeOf<'CAPTURE'>
  constructor(code: CodeOf<'CAPTURE'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** Registered pipelines. */
export class TriggerError extends GearmillError {
  declare readonly code: CodeOf<'TRIGGER'>
  constructor(code: CodeOf<'TRIGGER'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

export class PlanError extends GearmillError {
  declare readonly code: CodeOf<'PLAN'>
  constructor(code: CodeOf<'PLAN'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** Matrices: their files, blocks and expressions. */
export class MatrixError extends GearmillError {
  declare readonly code: CodeOf<'MATRIX'>
  constructor(code: CodeOf<'MATRIX'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** One step of a kernel that failed. */
export class KernelError extends GearmillError {
  declare readonly code: CodeOf<'KERNEL'> | CodeOf<'EXECUTION'> | CodeOf<'CONNECT'>
  readonly kernel: string
  /** Hash of the source that ran; '' where none was found. */
  readonly version: string
  readonly chain: string
  /** Counts from 1; 0 where no step had begun. */
  readonly step: number
  /** Line in the kernel's source, or in that of `module`; undefined where it is not known. */
  readonly line: number | undefined
  /** The imported source in which it happened; undefined for the kernel's own. */
  readonly module: string | undefined
  /** What the step had logged until then. */
  readonly log: readonly { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly text: string }[]

  constructor(
    code: KernelError['code'],
    message: string,
    details: {
      readonly kernel: string
      readonly version?: string
      readonly chain?: string
      readonly step?: number
      readonly line?: number | undefined
      readonly module?: string | undefined
      readonly log?: KernelError['log']
    },
    options?: ErrorOptions,
  ) {
    super(code, message, options)
    this.kernel = details.kernel
    this.version = details.version ?? ''
    this.chain = details.chain ?? ''
    this.step = details.step ?? 0
    this.line = details.line
    this.module = details.module
    this.log = details.log ?? []
  }
}

/** Tensors and ONNX models. */
export class ModelError extends GearmillError {
  declare readonly code: CodeOf<'MODEL'>
  constructor(code: CodeOf<'MODEL'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** Shared buffers: files, schemas and values. */
export class BufferError extends GearmillError {
  declare readonly code: CodeOf<'BUFFER'>
  constructor(code: CodeOf<'BUFFER'>, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** One record (or task) that failed: what failed, where it came from, and what was thrown. */
export class RecordError extends GearmillError {
  declare readonly code: CodeOf<'EXECUTION'> | CodeOf<'PLAN'> | CodeOf<'CAPTURE'> | CodeOf<'CONNECT'> | CodeOf<'MODEL'>
  /** The input record, cut to a readable size; undefined where there is none (a task that died). */
  readonly record: unknown
  /** Where the record came from: `file:line`, a key, or `stage 1, task 4`. */
  readonly place: string
  /** The worker that ran it. */
  readonly worker: string

  constructor(
    code: RecordError['code'],
    message: string,
    details: { readonly record?: unknown; readonly place?: string; readonly worker?: string } = {},
    options?: ErrorOptions,
  ) {
    super(code, message, options)
    this.record = details.record
    this.place = details.place ?? ''
    this.worker = details.worker ?? ''
  }
}

/** An execution that did not succeed as a whole. `results` holds what did. */
export class ExecutionError<T = unknown> extends GearmillError {
  declare readonly code: CodeOf<'EXECUTION'> | CodeOf<'CAPTURE'> | CodeOf<'PLAN'> | CodeOf<'CONNECT'> | CodeOf<'MODEL'>
  readonly execution: string
  readonly errors: readonly RecordError[]
  readonly results: readonly T[]

  constructor(
    code: ExecutionError['code'],
    message: string,
    details: {
      readonly execution: string
      readonly errors?: readonly RecordError[]
      readonly results?: readonly T[]
    },
    options?: ErrorOptions,
  ) {
    super(code, message, options)
    this.execution = details.execution
    this.errors = details.errors ?? []
    this.results = details.results ?? []
  }
}
