use rayon::prelude::*;

struct Rayon;

impl jigdo::template::Workers for Rayon {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(work);
    }
}
