//! What a person or a log reader sees: the live tree, the plan, the end of a run.

mod plan;
mod status;
mod style;
mod summary;
mod terminal;
mod tree;

pub use plan::plan;
pub use status::status;
pub use style::Style;
pub use summary::summary;
pub use terminal::LiveTree;
