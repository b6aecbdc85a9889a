//! What the guests must answer, computed without them. `ask` answers a wait.

/// An answer for each wait, in order, by its tag.
pub type Ask<'a> = &'a mut dyn FnMut(u32) -> u32;

fn mix(so_far: u32, word: u32) -> u32 {
    (so_far ^ word).wrapping_mul(16_777_619)
}

fn fill(words: &mut [u32], seed: u32) {
    for (word, i) in words.iter_mut().zip(0..) {
        *word = seed.wrapping_mul(2_654_435_761).wrapping_add(i);
    }
}

fn mix_all(so_far: u32, words: &[u32]) -> u32 {
    words.iter().fold(so_far, |so_far, word| mix(so_far, *word))
}

fn inner(seed: u32, ask: Ask<'_>) -> u32 {
    let mut words = [0; 8];
    fill(&mut words, seed);
    mix_all(ask(seed), &words)
}

fn outer(seed: u32, ask: Ask<'_>) -> u32 {
    let mut words = [0; 12];
    fill(&mut words, !seed);
    let first = inner(seed, ask);
    words[(seed % 12) as usize] ^= first;
    let second = inner(seed.wrapping_add(1), ask);
    mix_all(first.wrapping_add(second), &words)
}

/// `sum` of stack.c.
pub fn sum(seed: u32, n: u32, ask: Ask<'_>) -> u32 {
    let mut words = [0; 16];
    let mut total = seed;
    fill(&mut words, seed);
    for i in 0..n {
        total = mix(total, outer(seed.wrapping_add(i), ask));
        let word = &mut words[(i % 16) as usize];
        *word = word.wrapping_add(total);
    }
    mix_all(total, &words)
}

/// `recurse` of stack.c.
pub fn recurse(depth: u32, tag: u32, ask: Ask<'_>) -> u32 {
    let answer = ask(tag);
    (1..=depth).fold(answer, |answer, depth| {
        let mut words = [0; 4];
        fill(&mut words, tag.wrapping_add(depth));
        mix_all(answer, &words)
    })
}

/// `plain_sum` of stack.c.
pub fn plain_sum(seed: u32, n: u32) -> u32 {
    (0..n).fold(0, |total, i: u32| total.wrapping_add(seed.wrapping_mul(i)))
}

/// `loop` of values.wat.
pub fn repeated(seed: u32, n: u32, ask: Ask<'_>) -> u32 {
    (0..n).fold(seed, |total, i| total.wrapping_mul(31).wrapping_add(ask(i)))
}

/// `operands` of values.wat.
pub fn operands(x: u32, ask: Ask<'_>) -> u32 {
    let first = ask(x);
    let second = ask(x.wrapping_add(1));
    let third = ask(x.wrapping_add(2));
    first.wrapping_sub(second.wrapping_sub(third))
}

/// `indirect` of values.wat.
pub fn indirect(which: u32, x: u32, ask: Ask<'_>) -> u32 {
    let answer = match which {
        0 => ask(x).wrapping_mul(2),
        1 => x.wrapping_mul(x),
        2 => {
            let first = ask(x);
            first.wrapping_add(ask(x.wrapping_add(1)))
        }
        _ => ask(x),
    };
    answer.wrapping_add(x)
}
