import { describe, expect, it } from 'vitest';
import { imagesOf } from '../../runtime/image/build/dockerfile.ts';

const images = (text: string, args = {}, target?: string) => imagesOf(text, { args, target });

describe('the images a Dockerfile stands on', () => {
  it('are those of FROM, each once, but for scratch', () => {
    expect(images('FROM alpine:3\nFROM scratch\nfrom alpine:3\nFROM Scratch')).toEqual(['alpine:3']);
  });

  it('are not its own stages, by name or by number', () => {
    expect(images('FROM a AS One\nFROM one\nCOPY --from=0 /x /x\nCOPY --from=ONE /x /x')).toEqual(['a']);
  });

  it('are also those that are copied from or mounted', () => {
    const text =
      'FROM a\nCOPY --chown=1:1 --from=b /x /x\nRUN --mount=type=bind,from=c:1,target=/c ls --from=d';
    expect(images(text)).toEqual(['a', 'b', 'c:1']);
  });

  it('are named with arguments, their defaults, and defaults of defaults', () => {
    const text =
      'ARG V=3 BASE="alpine"\nARG FULL=${BASE}:$V\nFROM --platform=linux/amd64 ${FULL}\nFROM ${NO:-node}${V:+1}';
    expect(images(text)).toEqual(['alpine:3', 'node1']);
    expect(images(text, { V: '4', NO: 'own' })).toEqual(['alpine:4', 'node1']);
  });

  it('are not named with arguments of a stage', () => {
    expect(() => images('FROM a\nARG B=b\nFROM $B')).toThrow('names no image');
  });

  it('end with the target stage', () => {
    expect(images('FROM a AS x\nFROM b AS y\nFROM c', {}, 'y')).toEqual(['a', 'b']);
    expect(images('FROM a\nFROM b', {}, '0')).toEqual(['a']);
  });

  it('are found behind comments, continued lines and another escape character', () => {
    expect(
      images('# escape=`\n\nFROM `\n  # not this\n\n  a AS `\n x\n# FROM b\nRUN echo `\n FROM c'),
    ).toEqual(['a']);
    expect(images('# FROM z\r\nFROM \\\r\n a\r\nRUN x \\\r\n && y\r\n')).toEqual(['a']);
  });

  it('are an error where there is no FROM', () => {
    expect(() => images('RUN true')).toThrow('there is no FROM');
    expect(() => images('')).toThrow('there is no FROM');
  });
});
