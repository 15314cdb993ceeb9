//! Vectors of words, one word per lane. A kernel is written once for any vector, and runs on all of them.

/// A vector of words, on which an operation is done in all lanes at once.
///
/// A type for a processor's vectors may only be used in functions that are compiled for that processor's features, and
/// everything here must be inlined into them. For the same reason a kernel's loop calls no functions that take closures:
/// what the compiler decides not to inline is compiled without the features, and is slow.
// Elsewhere SHA-256 has no lanes.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only the vectors of x86-64 use all of it"))]
pub(in crate::digest) trait Vector: Copy {
    type Word: Copy + Default;
    const LANES: usize;
    /// Whether one instruction computes any function of three words' bits.
    const TERNARY: bool;

    /// `word` in all lanes.
    fn splat(word: Self::Word) -> Self;
    /// All bits set in all lanes.
    fn ones() -> Self;
    /// The first `LANES` of `words`.
    fn load(words: &[Self::Word]) -> Self;
    /// Writes the lanes to the first `LANES` of `words`.
    fn store(self, words: &mut [Self::Word]);
    /// Four little-endian words of each lane's data, in order, from `offset` bytes after its address on.
    ///
    /// # Safety
    /// The bytes of these words can be read at each of the first `LANES` addresses.
    unsafe fn four_words(data: &[*const u8], offset: usize) -> [Self; 4];
    fn swap_bytes(self) -> Self;
    /// The same words, whose origin is hidden from the compiler. Otherwise it would reorder the terms of a sum without
    /// regard to which of them is known last.
    fn opaque(self) -> Self;

    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// The bits of `other` where `self` has zeros.
    fn not_and(self, other: Self) -> Self;
    fn rotate_left(self, by: u32) -> Self;
    fn rotate_right(self, by: u32) -> Self;
    fn shift_right(self, by: u32) -> Self;

    /// The bits of `ones` where `self` has ones, of `zeros` where it has zeros.
    #[inline(always)]
    fn choose(self, ones: Self, zeros: Self) -> Self {
        zeros.xor(self.and(ones.xor(zeros)))
    }

    /// The bits that at least two of the three have.
    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        b.xor(self.xor(b).and(b.xor(c)))
    }

    /// The bits that one or all of the three have.
    #[inline(always)]
    fn parity(self, b: Self, c: Self) -> Self {
        self.xor(b.xor(c))
    }

    /// `self ^ (b | !c)`.
    #[inline(always)]
    fn xor_or_not(self, b: Self, c: Self) -> Self {
        self.xor(b.or(c.xor(Self::ones())))
    }
}

/// One lane: the processor's own words.
impl Vector for u32 {
    type Word = u32;
    const LANES: usize = 1;
    const TERNARY: bool = false;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }
    #[inline(always)]
    fn ones() -> Self {
        !0
    }
    #[inline(always)]
    fn load(words: &[u32]) -> Self {
        words[0]
    }
    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        words[0] = self;
    }
    #[inline(always)]
    unsafe fn four_words(data: &[*const u8], offset: usize) -> [Self; 4] {
        // SAFETY: the caller guarantees that the bytes can be read; an array of bytes needs no alignment.
        let [a, b, c, d] = unsafe { *data[0].add(offset).cast::<[[u8; 4]; 4]>() };
        [u32::from_le_bytes(a), u32::from_le_bytes(b), u32::from_le_bytes(c), u32::from_le_bytes(d)]
    }
    #[inline(always)]
    #[allow(asm_sub_register, unused_mut, reason = "the comment prints no register; elsewhere `self` stays as it is")]
    fn opaque(mut self) -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) self, options(pure, nomem, nostack, preserves_flags));
        }
        self
    }
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        u32::swap_bytes(self)
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn not_and(self, other: Self) -> Self {
        !self & other
    }
    #[inline(always)]
    fn rotate_left(self, by: u32) -> Self {
        u32::rotate_left(self, by)
    }
    #[inline(always)]
    fn rotate_right(self, by: u32) -> Self {
        u32::rotate_right(self, by)
    }
    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        self >> by
    }
}

/// Two vectors at once: while one waits for the result of its last step, the other proceeds.
#[derive(Clone, Copy)]
pub(in crate::digest) struct Two<V>(V, V);

/// Does the same on both halves.
macro_rules! both {
    ($(fn $name:ident(self $(, $other:ident)*);)*) => {
        $(#[inline(always)]
        fn $name(self $(, $other: Self)*) -> Self {
            Self(self.0.$name($($other.0),*), self.1.$name($($other.1),*))
        })*
    };
    ($(fn $name:ident(self; by);)*) => {
        $(#[inline(always)]
        fn $name(self, by: u32) -> Self {
            Self(self.0.$name(by), self.1.$name(by))
        })*
    };
}

impl<V: Vector> Vector for Two<V> {
    type Word = V::Word;
    const LANES: usize = 2 * V::LANES;
    const TERNARY: bool = V::TERNARY;

    #[inline(always)]
    fn splat(word: V::Word) -> Self {
        Self(V::splat(word), V::splat(word))
    }
    #[inline(always)]
    fn ones() -> Self {
        Self(V::ones(), V::ones())
    }
    #[inline(always)]
    fn load(words: &[V::Word]) -> Self {
        Self(V::load(words), V::load(&words[V::LANES..]))
    }
    #[inline(always)]
    fn store(self, words: &mut [V::Word]) {
        self.0.store(words);
        self.1.store(&mut words[V::LANES..]);
    }
    #[inline(always)]
    unsafe fn four_words(data: &[*const u8], offset: usize) -> [Self; 4] {
        // SAFETY: the caller guarantees that the bytes can be read, for both halves.
        let ([a, b, c, d], [e, f, g, h]) =
            unsafe { (V::four_words(data, offset), V::four_words(&data[V::LANES..], offset)) };
        [Self(a, e), Self(b, f), Self(c, g), Self(d, h)]
    }
    both! {
        fn swap_bytes(self);
        fn opaque(self);
        fn add(self, other);
        fn and(self, other);
        fn or(self, other);
        fn xor(self, other);
        fn not_and(self, other);
        fn choose(self, ones, zeros);
        fn majority(self, b, c);
        fn parity(self, b, c);
        fn xor_or_not(self, b, c);
    }
    both! {
        fn rotate_left(self; by);
        fn rotate_right(self; by);
        fn shift_right(self; by);
    }
}
