import { must } from './verdict.ts';

/**
 * Smallest programs of x86-64 that say by their exit code who they are. Without libc, so that one file is a whole image.
 */
const programs = {
  /** Exits with the lowest eight bits of its effective user id: geteuid(), exit(). */
  effectiveUser: '31c0b06b0f0589c76a3c580f05',
  /**
   * Exits with the lowest eight bits of its effective capabilities: capget() on the stack with version 3, exit().
   */
  effectiveCapabilities:
    '4883ec20' + // sub rsp, 32
    'c7042422050820' + // mov dword [rsp], LINUX_CAPABILITY_VERSION_3
    'c744240400000000' + // mov dword [rsp+4], 0
    '4889e7' + // mov rdi, rsp
    '488d742408' + // lea rsi, [rsp+8]
    'b87d000000' + // mov eax, capget
    '0f05' +
    '8b7c2408' + // mov edi, [rsp+8]
    'b83c000000' + // mov eax, exit
    '0f05',
} as const;

const base = 0x400000;
const headerBytes = 64 + 56;

/** An executable with one segment: header, program header, code. */
export function elfOf(program: keyof typeof programs): Buffer {
  const code = Buffer.from(programs[program], 'hex');
  must(code.length > 0, 'no code', program);
  const file = Buffer.alloc(headerBytes + code.length);
  file.write('\x7fELF', 'latin1');
  file.set([2, 1, 1], 4); // 64 bits, little-endian, version
  file.writeUInt16LE(2, 16); // executable
  file.writeUInt16LE(62, 18); // x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(base + headerBytes), 24); // entry
  file.writeBigUInt64LE(64n, 32); // program headers
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(5, 68); // readable, executable
  file.writeBigUInt64LE(0n, 72);
  file.writeBigUInt64LE(BigInt(base), 80);
  file.writeBigUInt64LE(BigInt(base), 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x1000n, 112);
  file.set(code, headerBytes);
  return file;
}
