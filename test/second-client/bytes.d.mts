export declare const hex: (bytes: Uint8Array) => string
export declare const sha256: (...parts: Uint8Array[]) => Buffer
export declare const encode: (value: unknown) => Buffer
export declare const decode: (bytes: Uint8Array) => unknown[]
